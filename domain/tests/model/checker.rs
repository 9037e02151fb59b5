//! The model as stateright walks it, and what it finds.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use domain::saga::StateName;
use stateright::{Checker, CheckerBuilder, HasDiscoveries, Model, Property};

use super::graph::Graph;
use super::laws::{self, LAWS};
use super::moves::{Maker, Move};
use super::scene::Scene;
use super::world::World;

/// A world with its fingerprint: computed once, compared and looked up many times.
#[derive(Clone, Debug)]
pub(crate) struct Shot {
    pub(crate) world: World,
    print: u64,
}

/// The model.
struct House {
    scene: Scene,
    /// What was walked so far.
    graph: Arc<Mutex<Graph>>,
    /// States from which no good end can be reached, known in a second walk.
    stuck: Arc<HashSet<u64>>,
}

impl House {
    /// The same house, for another walk.
    fn again(&self) -> Self {
        Self {
            scene: self.scene,
            graph: Arc::default(),
            stuck: Arc::clone(&self.stuck),
        }
    }
}

/// A walk over everything that can happen, without a broken law.
pub(crate) struct Walked {
    /// Distinct states.
    pub(crate) states: usize,
    /// Moves between them.
    pub(crate) moves: usize,
    /// The longest shortest way to a state.
    pub(crate) depth: usize,
    /// Where orders were.
    pub(crate) reached: Vec<StateName>,
}

/// Broken laws and the moves that lead there.
#[derive(Debug)]
pub(crate) struct Counterexample {
    /// Every law that the last state breaks.
    pub(crate) laws: Vec<&'static str>,
    pub(crate) moves: Vec<Move>,
    pub(crate) world: Box<World>,
}

impl Shot {
    fn of(world: World) -> Self {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        let print = hasher.finish();
        Self { world, print }
    }

    fn describe(&self) -> (bool, Vec<StateName>) {
        let names = self.world.placed().map(|row| row.order.state.name()).collect();
        (self.world.is_good_end(), names)
    }
}

impl PartialEq for Shot {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print && self.world == other.world
    }
}

impl Hash for Shot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.print);
    }
}

impl Model for House {
    type State = Shot;
    type Action = Move;

    fn init_states(&self) -> Vec<Shot> {
        vec![Shot::of(World::new(self.scene.units, self.scene.faults))]
    }

    fn actions(&self, shot: &Shot, moves: &mut Vec<Move>) {
        shot.world.moves(&self.scene, moves);
    }

    fn next_state(&self, shot: &Shot, next: Move) -> Option<Shot> {
        let after = Shot::of(shot.world.after(&self.scene, next)?);
        let mut graph = self.graph.lock().unwrap_or_else(PoisonError::into_inner);
        let from = graph.place(shot.print, || shot.describe());
        let to = graph.place(after.print, || after.describe());
        if next.maker() == Maker::Diligence {
            graph.connect(from, to);
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let reachable = |house: &Self, shot: &Shot| !house.stuck.contains(&shot.print);
        let mut properties = vec![Property::always(laws::GOOD_END, reachable)];
        let laws = LAWS.iter().zip(CONDITIONS);
        properties.extend(laws.map(|((name, _), condition)| Property::always(name, condition)));
        properties
    }
}

/// A law in the shape that the checker wants: a plain function, which can hold on to nothing.
type Condition = fn(&House, &Shot) -> bool;

/// The laws in that shape, in their order.
const CONDITIONS: [Condition; LAWS.len()] = [
    keeps::<0>,
    keeps::<1>,
    keeps::<2>,
    keeps::<3>,
    keeps::<4>,
    keeps::<5>,
    keeps::<6>,
    keeps::<7>,
    keeps::<8>,
    keeps::<9>,
    keeps::<10>,
    keeps::<11>,
    keeps::<12>,
    keeps::<13>,
];

fn keeps<const LAW: usize>(house: &House, shot: &Shot) -> bool {
    let (_, law) = LAWS[LAW];
    law(&house.scene, &shot.world)
}

/// Walks everything that can happen in `scene`.
pub(crate) fn walk(scene: &Scene) -> Result<Walked, Counterexample> {
    let graph = Arc::new(Mutex::new(Graph::default()));
    let house = House {
        scene: *scene,
        graph: Arc::clone(&graph),
        stuck: Arc::default(),
    };
    let checker = checker(house).spawn_bfs().join();
    if let Some(found) = shortest(&checker) {
        return Err(found);
    }
    let graph = std::mem::take(&mut *graph.lock().unwrap_or_else(PoisonError::into_inner));
    let stuck = graph.stuck();
    if !stuck.is_empty() {
        return Err(way_to(scene, stuck).expect("a state that was reached once is reached again"));
    }
    Ok(Walked {
        states: checker.unique_state_count(),
        moves: checker.state_count(),
        depth: checker.max_depth(),
        reached: graph.reached.into_iter().collect(),
    })
}

/// Walks again, to where no good end can be reached any more.
fn way_to(scene: &Scene, stuck: HashSet<u64>) -> Option<Counterexample> {
    let house = House {
        scene: *scene,
        graph: Arc::default(),
        stuck: Arc::new(stuck),
    };
    let checker = checker(house).spawn_bfs().join();
    shortest(&checker)
}

fn checker(house: House) -> CheckerBuilder<House> {
    house.checker().finish_when(HasDiscoveries::AnyFailures)
}

/// The shortest way to a broken law, if one was found. The checker looks at many states before it stops and tells the last
/// one that broke a law; how deep the first lies is found by halving.
fn shortest(found: &impl Checker<House>) -> Option<Counterexample> {
    let mut way = counterexample(found)?;
    let mut clean = 0;
    while clean + 1 < way.moves.len() {
        let middle = clean.midpoint(way.moves.len());
        // The checker's depth counts states, of which there is one more than moves, and is not looked at itself.
        let house = found.model().again();
        let walked = checker(house).target_max_depth(middle + 2).spawn_bfs().join();
        match counterexample(&walked) {
            Some(shorter) => way = shorter,
            None => clean = middle,
        }
    }
    Some(way)
}

fn counterexample(checker: &impl Checker<House>) -> Option<Counterexample> {
    // Several laws may break at the same depth: by name, so that every run tells the same.
    let (_, path) = checker.discoveries().into_iter().min_by_key(|(law, _)| *law)?;
    let (house, last) = (checker.model(), path.last_state());
    let laws = house.properties().into_iter();
    let broken = laws.filter(|law| !(law.condition)(house, last));
    Some(Counterexample {
        laws: broken.map(|law| law.name).collect(),
        world: Box::new(last.world.clone()),
        moves: path.into_actions(),
    })
}
