//! What kinds of shoppers there are.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How one shopper behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Waits, claims, buys with a good card.
    Patient,
    /// Leaves the queue after a few polls; half of them without a word.
    Impatient,
    /// Waits until called and never claims.
    NoShow,
    /// Claims some time after having been called.
    LateReturner,
    /// Sends every important request twice at once.
    DoubleClicker,
    /// Pays with a card that is declined; half of them then try another.
    Decliner,
    /// Pays with a card that asks for 3-D Secure; one in five walks away from the question.
    ThreeDSecure,
    /// Reserves and never pays.
    AbandonsAtPayment,
    /// Reloads the page over and over while waiting.
    Reloader,
}

/// Shares of behaviours, as weights: 3 and 1 mean three quarters and one quarter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "each weight is named like its Behaviour, which says what it is"
)]
pub struct Mix {
    pub patient: u32,
    pub impatient: u32,
    pub no_show: u32,
    pub late_returner: u32,
    pub double_clicker: u32,
    pub decliner: u32,
    pub three_d_secure: u32,
    pub abandons_at_payment: u32,
    pub reloader: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            patient: 60,
            impatient: 6,
            no_show: 7,
            late_returner: 4,
            double_clicker: 7,
            decliner: 6,
            three_d_secure: 5,
            abandons_at_payment: 3,
            reloader: 2,
        }
    }
}

impl Mix {
    /// A crowd in which everybody behaves alike.
    #[must_use]
    pub fn only(behaviour: Behaviour) -> Self {
        let mut mix = Self {
            patient: 0,
            impatient: 0,
            no_show: 0,
            late_returner: 0,
            double_clicker: 0,
            decliner: 0,
            three_d_secure: 0,
            abandons_at_payment: 0,
            reloader: 0,
        };
        *mix.weight_mut(behaviour) = 1;
        mix
    }

    fn weight_mut(&mut self, behaviour: Behaviour) -> &mut u32 {
        match behaviour {
            Behaviour::Patient => &mut self.patient,
            Behaviour::Impatient => &mut self.impatient,
            Behaviour::NoShow => &mut self.no_show,
            Behaviour::LateReturner => &mut self.late_returner,
            Behaviour::DoubleClicker => &mut self.double_clicker,
            Behaviour::Decliner => &mut self.decliner,
            Behaviour::ThreeDSecure => &mut self.three_d_secure,
            Behaviour::AbandonsAtPayment => &mut self.abandons_at_payment,
            Behaviour::Reloader => &mut self.reloader,
        }
    }

    fn weights(&self) -> [(Behaviour, u32); 9] {
        [
            (Behaviour::Patient, self.patient),
            (Behaviour::Impatient, self.impatient),
            (Behaviour::NoShow, self.no_show),
            (Behaviour::LateReturner, self.late_returner),
            (Behaviour::DoubleClicker, self.double_clicker),
            (Behaviour::Decliner, self.decliner),
            (Behaviour::ThreeDSecure, self.three_d_secure),
            (Behaviour::AbandonsAtPayment, self.abandons_at_payment),
            (Behaviour::Reloader, self.reloader),
        ]
    }

    /// Draws one; a mix without any weight is all patient.
    pub(crate) fn draw(&self, random: &mut Random) -> Behaviour {
        let weights = self.weights();
        let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
        if total == 0 {
            return Behaviour::Patient;
        }
        let mut ticket = random.within(0..=total - 1);
        for (behaviour, weight) in weights {
            match ticket.checked_sub(u64::from(weight)) {
                Some(rest) => ticket = rest,
                None => return behaviour,
            }
        }
        Behaviour::Patient
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn shares_follow_the_weights() {
        let mix = Mix {
            patient: 3,
            no_show: 1,
            ..Mix::only(Behaviour::Patient)
        };
        let mut random = Random::new(5);
        let mut drawn: BTreeMap<Behaviour, u32> = BTreeMap::new();
        for _ in 0..4_000 {
            *drawn.entry(mix.draw(&mut random)).or_default() += 1;
        }
        assert_eq!(drawn.len(), 2);
        assert!((900..1_100).contains(&drawn[&Behaviour::NoShow]), "{drawn:?}");
    }

    #[test]
    fn only_one_behaviour_is_drawn_when_only_one_is_asked_for() {
        let mut random = Random::new(5);
        for behaviour in Mix::default().weights().map(|(behaviour, _)| behaviour) {
            let mix = Mix::only(behaviour);
            assert!((0..50).all(|_| mix.draw(&mut random) == behaviour));
        }
    }
}
