// Wording of numbers and spans, as the server words them (src/room/page/words.rs).
const grouped=(n)=>String(n).replace(/\B(?=(\d{3})+$)/g,",");
const pad=(n)=>String(n).padStart(2,"0");
const clockOf=(ms)=>{
  const s=Math.max(0,Math.ceil(ms/1000)),h=Math.floor(s/3600),m=Math.floor(s%3600/60);
  if(s>=172800)return `${Math.floor(s/86400)} days`;
  return h?`${h}:${pad(m)}:${pad(s%60)}`:`${m}:${pad(s%60)}`;
};
const spanOf=(s)=>s===1?"1 second":s===60?"1 minute":s>=60&&s%60===0?`${s/60} minutes`:`${s} seconds`;
const waitOf=(wait)=>{
  const low=wait.min_seconds,high=Math.max(wait.max_seconds,low);
  if(high<60)return "less than a minute";
  const say=(a,b,unit)=>a===0?`up to ${b} ${unit}`:a===b?`about ${a} ${unit}`:`about ${a} to ${b} ${unit}`;
  const minutes=Math.ceil(high/60);
  if(minutes===1)return "about a minute";
  return minutes<=90?say(Math.floor(low/60),minutes,"minutes"):say(Math.floor(low/3600),Math.ceil(high/3600),"hours");
};
const aheadOf=(n)=>n===0?"Nobody is ahead of you.":n===1?"1 person is ahead of you.":`${grouped(n)} people are ahead of you.`;
const chances={likely:"Likely",possible:"Possible",unlikely:"Unlikely",gone:"None"};
const stockOf=(t)=>t.available>0?`${grouped(t.available)} of ${grouped(t.available+t.reserved+t.sold)}`
  :t.reserved>0?`None free, ${grouped(t.reserved)} at checkout`:"Sold out";
// An instant as it comes: RFC 3339 text or milliseconds.
const instant=(at)=>at==null||at===""?null:typeof at==="number"?at:Date.parse(at);
// The page's language in the shopper's own region, the shopper's own time zone.
const tongue=(()=>{
  const lang=document.documentElement.lang,tag=navigator.languages?.find((t)=>t.split("-")[0]===lang.split("-")[0])??lang;
  try{return Intl.DateTimeFormat.supportedLocalesOf([tag]);}catch{return undefined;}
})();
const local=(ms,short)=>new Intl.DateTimeFormat(tongue,
  short||new Date(ms).toDateString()===new Date().toDateString()
    ?{hour:"numeric",minute:"2-digit",...(short?{second:"2-digit"}:{timeZoneName:"short"})}
    :{weekday:"long",day:"numeric",month:"long",hour:"numeric",minute:"2-digit",timeZoneName:"short"}).format(ms);
