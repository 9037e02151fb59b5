// Keeps the page true: events where they flow, polls where they do not, nothing while offline.
const api=room.dataset.api,pill=one("[data-link]");
const done=new Set(["admitted","lapsed","left","finished","sold_out","ended","reject"]);
let source=null,release=null,timer=0,claimTimer=0,failures=0,polls=0,heardAt=Date.now(),claiming=false,leaving=false;

// Full jitter on the upper half: a thousand pages that lost one server must not return as one.
const backoff=()=>Math.min(60000,1000*2**Math.min(failures,6))*(0.5+Math.random()/2);
const around=(ms)=>ms*(0.9+Math.random()/5);
// Never earlier than told, and later by up to half of it: those who were shed in one moment must not return in one.
const spread=(s)=>s*1000+Math.random()*Math.max(1000,s*500);
const told=(response)=>{const s=Number(response.headers.get("retry-after"));return Number.isFinite(s)&&s>0?Math.min(s,300):0;};
const retryAfter=(response)=>{const s=told(response);return s?spread(s):0;};
const ask=(path,method,body)=>fetch(api+path,{method,cache:"no-store",credentials:"same-origin",redirect:"error",
  headers:{accept:"application/json",...(body?{"content-type":"application/json"}:{})},
  body:body?JSON.stringify(body):undefined,signal:AbortSignal.timeout(10000)});
const later=(run,ms)=>{clearTimeout(timer);timer=setTimeout(run,ms);};
// Claims have a timer of their own: polls and streams set theirs again with every word they hear, and a claim
// that is put off so would never come. Who is next keeps the turn for three seconds after the time that was told, most of
// which the way and a sleepy tab may need: these come a little apart, and are not spread like others.
const claimLater=(ms)=>{
  clearTimeout(claimTimer);
  claimTimer=setTimeout(()=>{if(live.state==="called"||live.state==="room_full")claim();},ms+Math.random()*300);
};
const hush=()=>{clearTimeout(timer);source?.close();source=null;release?.();release=null;};

const showLink=()=>{
  const age=Math.round((Date.now()-heardAt)/1000);
  let kind="live",text="Live";
  if(!navigator.onLine){kind="late";text="Offline. Your place is kept.";}
  else if(failures>0){kind="late";text=age<5?"Reconnecting…":`Reconnecting… last heard ${age<120?`${age} s`:`${Math.round(age/60)} min`} ago`;}
  else if(live.stale){kind="late";text="Figures may be a little old";}
  else if(!source){kind="poll";text="Up to date";}
  else if(source.readyState!==1){kind="poll";text="Connecting…";}
  pill.hidden=done.has(live.state);
  pill.dataset.link=kind;
  write(pill,text);
  // An estimate nobody has confirmed for a minute is not an estimate any more.
  const unheard=age>60&&(failures>0||!navigator.onLine);
  if(Boolean(live.unheard)!==unheard)paint({unheard});
};

const heard=(update)=>{
  heardAt=Date.now();failures=0;
  // Who was inside when everybody was held may seem gone to a server that did not see them go in: the page knows better.
  if(live.state==="paused"&&(update.state==="left"||update.state==="lapsed")){again();if(leaving)return;}
  // Only a claim can tell whether the room is still full.
  if(update.state==="called"&&live.state==="room_full")update={...update,state:"room_full"};
  // Events and polls may come from different servers, of which one knows less: a place moves one way only.
  if(update.rank===live.rank&&update.position>live.position)update={...update,position:live.position};
  paint({...update,unheard:false});
  showLink();
  if(done.has(live.state)){hush();if(live.state==="admitted")go(update.return_to);}
  else if(live.state==="called")claim();
};

const poll=async()=>{
  if(!navigator.onLine)return;
  let wait=0;
  try{
    const answer=live.state==="joining"?await ask("/ticket","POST",{rejoin:false}):await ask(live.state==="scheduled"?"":"/ticket","GET");
    if(answer.status===404&&live.state!=="scheduled"){paint({state:"joining"});wait=1000;}
    // First contact sets a cookie; the number comes with the next request.
    else if(answer.status===428&&polls<3)wait=300;
    // Joining is closed or not open: the server knows how to say it.
    else if(live.state==="joining"&&(answer.status===409||await isClosed(answer))){wait=30000;again();}
    else if(!answer.ok){wait=retryAfter(answer);throw new Error(answer.status);}
    else{
      const body=await answer.json();
      if(live.state==="scheduled"){
        // The public answer has no place in it: once joining is open, ask for one.
        heardAt=Date.now();failures=0;
        paint({opens_at:body.opens_at??live.opens_at,notice:body.notice??null,now:body.now??null,
          state:!body.phase||body.phase==="scheduled"?"scheduled":"joining"});
        wait=live.state==="joining"?around(500):around(20000);
      }else heard(body);
    }
    polls++;
  }catch{failures++;wait=Math.max(wait,backoff());}
  showLink();
  if(done.has(live.state)||leaving)return;
  if(source){watch();return;}
  if(failures===0&&polls%6===1&&live.state!=="scheduled"&&live.state!=="joining"){listen();return;}
  later(poll,wait||around(Math.max(1000,live.poll_after_ms||5000)));
};

// Silence on an open stream is not news: after a while ask once, whatever the stream says. Each poll sets this anew, or one
// that somebody else asked for would be the last.
const watch=()=>later(poll,around(45000));

// One tab holds the stream, the others poll: browsers allow six connections per shop in all, and
// a seventh tab's request would wait for ever.
const listen=()=>{
  const instead=()=>later(poll,around(Math.max(1000,live.poll_after_ms||5000)));
  if(source||!window.EventSource){instead();return;}
  if(!navigator.locks){follow();return;}
  navigator.locks.request(`doorline:${live.drop}`,{ifAvailable:true},(lock)=>{
    if(!navigator.onLine||leaving||done.has(live.state))return undefined;
    if(!lock||source){instead();return undefined;}
    follow();
    return new Promise((resolve)=>{release=resolve;});
  });
};

const follow=()=>{
  const stream=source=new EventSource(`${api}/ticket/events`);
  const take=(event)=>{let update;try{update=JSON.parse(event.data);}catch{return;}if(stream===source){heard(update);if(stream===source)watch();}};
  stream.onmessage=take;
  stream.addEventListener("ticket",take);
  stream.onopen=()=>{if(stream===source){failures=0;showLink();watch();}};
  stream.onerror=()=>{
    if(stream!==source)return;
    // The browser would reconnect every three seconds for ever; polls with backoff are kinder. A server that goes
    // takes tens of thousands of streams with it: their pages come to the next one over several seconds.
    hush();polls=1;showLink();later(poll,500+Math.random()*4500);
  };
  // One that neither opens nor fails is as silent.
  watch();
};

const claim=async()=>{
  if(claiming||leaving)return;
  claiming=true;
  clearTimeout(claimTimer);
  let wait=0;
  try{
    const answer=await ask("/admission","POST",{return_to:room.dataset.return});
    const body=await answer.json().catch(()=>({}));
    if(answer.ok){hush();paint({state:"admitted"});showLink();go(body.return_to);return;}
    const why=/[a-z-]+$/.exec(body.type??"")?.[0];
    if(answer.status===410){
      hush();paint({state:{"sold-out":"sold_out",ended:"ended",left:"left","admission-used":"finished"}[why]??"lapsed"});showLink();
      return;
    }
    if(answer.status===409){paint({state:why==="paused"?"paused":"waiting"});later(poll,around(1000));return;}
    const full=answer.status===429&&why==="room-full";
    wait=(full?told(answer)*1000:retryAfter(answer))||around(2000);
    if(full){retryAt=Date.now()+wait;paint({state:"room_full"});}
    else failures++;
  }catch{failures++;wait=backoff();}
  finally{claiming=false;}
  if(wait)claimLater(wait);
};

// Lets the server say what this page cannot know, at most every half minute.
const again=()=>{
  if(Date.now()-Number(remember("again")??0)<30000)return;
  remember("again",Date.now());
  leaving=true;
  location.reload();
};

// Goes to the shop. A shop that sends the shopper straight back must not become a loop.
const go=(path)=>{
  let target;
  try{target=new URL(path||room.dataset.return,location.href);}catch{return;}
  if(!/^https?:$/.test(target.protocol))return;
  one("[data-go]").href=target.href;
  if(Date.now()-Number(remember("went")??0)<10000)return;
  remember("went",Date.now());
  leaving=true;
  setTimeout(()=>location.replace(target.href),calm.matches?0:900);
};

// A server that is busy says when to ask again, and the form is not to be pressed anew for that. Sent without script it
// would only be refused once more, and take the page away with it.
// A drop that admits nobody is no trouble that passes by itself.
const isClosed=async(answer)=>answer.status===503&&String((await answer.json().catch(()=>({}))).type).endsWith("/drop-closed");

const insist=async(button,send)=>{
  for(let tries=1;;tries++){
    const answer=await send().catch(()=>null);
    if(answer&&answer.status!==429&&(answer.status<500||await isClosed(answer)))return answer;
    const wait=(answer&&retryAfter(answer))||Math.min(30000,1000*2**Math.min(tries,5))*(0.5+Math.random()/2);
    write(button,`Trying again in ${spanOf(Math.ceil(wait/1000))}`);
    await new Promise((resolve)=>setTimeout(resolve,wait));
  }
};

document.addEventListener("submit",async(event)=>{
  const form=event.target,what=form.dataset.do;
  if(!what)return;
  event.preventDefault();
  const button=form.querySelector("button"),label=button.textContent;
  button.disabled=true;
  try{
    if(what==="enter"){retryAt=Date.now();await claim();return;}
    const answer=await insist(button,()=>what==="leave"?ask("/ticket","DELETE"):ask("/ticket","POST",{rejoin:true}));
    if(!answer.ok)throw new Error(answer.status);
    if(what==="leave"){hush();paint({state:"left",position:null});showLink();one("[data-view=left] h1").scrollIntoView({block:"nearest"});}
    else{heard(await answer.json());connect();}
  }catch{leaving=true;form.submit();}
  finally{button.disabled=false;write(button,label);}
});

const connect=()=>{
  if(done.has(live.state)){showLink();if(live.state==="admitted")go();return;}
  if(live.state==="joining"||live.state==="scheduled"){later(poll,live.state==="joining"?Math.max(200,retryAt-Date.now()+Math.random()*1000):around(20000));}
  else listen();
  if(live.state==="called")claim();
  if(live.state==="room_full")claimLater(Math.max(0,retryAt-Date.now()));
  showLink();
};
addEventListener("online",()=>{failures=0;polls=0;later(poll,Math.random()*1500);showLink();});
addEventListener("offline",()=>{hush();showLink();});
document.addEventListener("visibilitychange",()=>{if(!document.hidden&&!done.has(live.state)&&Date.now()-heardAt>10000)poll();});
addEventListener("pagehide",hush);
addEventListener("pageshow",(event)=>{if(event.persisted)connect();});

// The Refresh header is for browsers without script; with it, a reload would only blink.
window.navigation?.addEventListener?.("navigate",(event)=>{
  const own=event.destination.url===location.href&&/^(reload|replace)$/.test(event.navigationType);
  if(own&&!leaving&&!event.userInitiated&&event.cancelable)event.preventDefault();
});

let dueAt=0;
const tick=()=>{
  const opens=instant(live.opens_at),joins=instant(live.joins_at);
  if(["scheduled","prequeue","called","room_full"].includes(live.state))paintFace();
  const gate=live.state==="scheduled"?joins??opens:live.state==="prequeue"?opens:null;
  // The start: everybody looks again, but not in the same instant.
  if(gate!==null&&gate<=serverNow()&&Date.now()>dueAt){dueAt=Date.now()+10000;setTimeout(poll,300+Math.random()*2500);}
  showLink();
  setTimeout(tick,1000-Math.floor(serverNow())%1000);
};

localise(document);
if(live.retry_after)retryAt=Date.now()+live.retry_after*1000;
paint(live);
root.classList.add("ready");
const begin=()=>{window.stop();connect();tick();};
if(document.readyState==="complete")setTimeout(begin,0);else addEventListener("load",()=>setTimeout(begin,0));
