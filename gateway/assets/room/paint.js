// Paints what is known. `live` is the last known truth; an update replaces only what it names.
const room=document.getElementById("room"),root=document.documentElement,door=room.querySelector(".door");
const one=(selector)=>document.querySelector(selector);
const face={label:one("[data-face=label]"),word:one("[data-face=word]"),sub:one("[data-face=sub]")};
const calm=matchMedia("(prefers-reduced-motion: reduce)");
let live=JSON.parse(room.dataset.live);
// The server's clock decides what a countdown shows, not the device's. Whatever delays an answer
// makes its time look too early, so the latest guess is the best one.
let base=-Infinity;
let retryAt=0;
const serverNow=()=>Number.isFinite(base)?base+performance.now():Date.now();
const remember=(key,value)=>{
  try{const name=`doorline:${live.drop}:${key}`;if(value!==undefined)sessionStorage.setItem(name,value);return sessionStorage.getItem(name);}
  catch{return null;}
};
const localise=(scope)=>{
  for(const time of scope.querySelectorAll("time[datetime]")){
    const at=instant(time.dateTime);
    if(Number.isFinite(at)&&at!==null)time.textContent=local(at,"short" in time.dataset);
  }
};
const write=(place,text)=>{if(place.textContent!==text)place.textContent=text;};
const big=(text,length)=>{write(face.word,text);door.dataset.length=Math.min(12,length??text.length);};

const paintFace=()=>{
  const view=one(`[data-view=${live.state}]`),opens=instant(live.opens_at);
  write(face.label,view.dataset.label);
  let sub="";
  if(live.state==="waiting"&&live.position!=null){
    showNumber(face.word,live.position);
    door.dataset.length=Math.min(12,grouped(live.position).length);
    sub="in the queue";
  }else if(live.state==="scheduled"||live.state==="prequeue"){
    big(opens===null?"Soon":opens>serverNow()?clockOf(opens-serverNow()):"Now");
    sub=opens===null?"":local(opens);
  }else{
    big(view.dataset.word||"…");
    const by=instant(live.claim_deadline);
    if(live.state==="called"&&by!==null&&by>serverNow())sub=`${clockOf(by-serverNow())} left to enter`;
    if(live.state==="paused"&&live.position!=null)sub=`position ${grouped(live.position)} is kept`;
    if(live.state==="room_full"){
      const rest=Math.ceil((retryAt-Date.now())/1000);
      sub=rest>0?`trying again in ${spanOf(rest)}`:"trying again now";
    }
  }
  write(face.sub,sub);
};

// How far this shopper has come since this tab first saw a position: the frame fills with it.
const paintProgress=()=>{
  const walking=(live.state==="waiting"||live.state==="paused")&&live.position!=null;
  if(!walking){delete door.dataset.progress;return;}
  const first=Math.max(Number(remember(`first:${live.number}`)??0),live.position);
  remember(`first:${live.number}`,first);
  const share=first>1?(first-live.position)/(first-1):1;
  door.querySelector(".frame-done").setAttribute("stroke-dasharray",`${(1.5+98.5*share).toFixed(2)} 100`);
  door.dataset.progress="";
};

const stockTotal=()=>{
  const items=live.stock?Object.values(live.stock):[];
  return items.length?items.reduce((t,i)=>({available:t.available+i.available,reserved:t.reserved+i.reserved,sold:t.sold+i.sold}),
    {available:0,reserved:0,sold:0}):null;
};
const paintFacts=()=>{
  write(one("[data-wait]"),live.state==="paused"?"Unknown while paused":live.unheard?"Not known right now":live.wait?waitOf(live.wait):"Not known yet");
  const chance=one("[data-chance]");
  chance.hidden=!live.chance;
  chance.dataset.chance=live.chance??"";
  write(one("[data-chance-word]"),chances[live.chance]??"");
  const total=stockTotal(),row=one(".fact-stock");
  row.hidden=!total;
  if(total){
    const all=total.available+total.reserved+total.sold,share=(n)=>all?Math.floor(1000*n/all):0;
    write(row.querySelector("[data-stock]"),stockOf(total));
    row.querySelector(".units-reserved").setAttribute("width",share(total.available)+share(total.reserved));
    row.querySelector(".units-available").setAttribute("width",share(total.available));
    write(one("[data-reserved]"),grouped(total.reserved));
  }
  const holds=["prequeue","waiting","called","room_full","paused"].includes(live.state);
  one("[data-checkout]").hidden=!(holds&&total&&total.available===0&&total.reserved>0);
  one("[data-leave]").hidden=!holds;
};

const tabTitle=()=>{
  const lead={called:"Your turn",room_full:"You are next",admitted:"You’re in",sold_out:"Sold out",ended:"Ended",
    reject:"Closed",lapsed:"Turn passed",left:"No place",finished:"Visit ended"}[live.state]
    ??((live.state==="waiting"||live.state==="paused")&&live.position!=null?`#${grouped(live.position)}`:"");
  const text=lead?`${lead} · ${live.title}`:live.title;
  if(document.title!==text)document.title=text;
};

// A screen reader hears a new state at once, a new position at most every half minute.
let saidAt=0,saidState=live.state,saidPosition=live.position;
const announce=()=>{
  const news=live.state!==saidState,moved=live.position!==saidPosition&&live.state==="waiting"&&Date.now()-saidAt>30000;
  if(!news&&!moved)return;
  saidAt=Date.now();saidState=live.state;saidPosition=live.position;
  const head=one(`[data-view=${live.state}] h1`).textContent;
  const place=live.state==="waiting"&&live.position!=null?`Position ${grouped(live.position)}. Wait: ${live.wait?waitOf(live.wait):"not known yet"}.`:"";
  one("[data-announce]").textContent=news?`${head} ${place}`:place;
};

const paint=(update)=>{
  // Own properties only, and never a state this page has no words for.
  const state=update.state!==undefined&&one(`[data-view="${CSS.escape(update.state)}"]`)?update.state:live.state;
  // A place never gets worse: an answer from a server that lags behind is not news.
  const lags=state==="waiting"&&live.state==="waiting"&&(update.number??live.number)===live.number&&update.position>live.position;
  live={...live,...update,state,...(lags?{position:live.position,wait:live.wait}:{})};
  if(update.now){const at=instant(update.now);if(Number.isFinite(at))base=Math.max(base,at-performance.now());}
  for(const view of document.querySelectorAll("[data-view]"))view.hidden=view.dataset.view!==live.state;
  root.dataset.state=live.state;
  const notice=one("[data-notice]");
  notice.hidden=!live.notice;
  write(notice,live.notice??"");
  if(live.claim_deadline){
    const by=one("[data-claim-by]");
    by.hidden=false;
    by.querySelector("time").dateTime=new Date(instant(live.claim_deadline)).toISOString();
    localise(by);
  }
  write(one("[data-ahead]"),live.position!=null?aheadOf(live.position-1):"");
  one("[data-number-line]").hidden=live.number==null;
  write(one("[data-number]"),live.number!=null?grouped(live.number):"");
  paintFace();paintProgress();paintFacts();tabTitle();announce();
};
