// The big number as reels, one per digit, kept by place from the right so that only what changes moves.
const reelFor=()=>{
  const digit=document.createElement("span"),reel=document.createElement("span");
  digit.className="digit";reel.className="reel";
  for(let n=0;n<10;n++){const b=document.createElement("b");b.textContent=n;reel.append(b);}
  digit.append(reel);
  return digit;
};
const separator=()=>{const s=document.createElement("span");s.textContent=",";return s;};
const showNumber=(host,number)=>{
  const text=grouped(number);
  let row=host.querySelector(".digits");
  if(!row){
    host.textContent="";
    row=document.createElement("span");row.className="digits";row.setAttribute("aria-hidden","true");
    const spoken=document.createElement("span");spoken.className="unseen";
    host.append(spoken,row);
  }
  host.firstChild.textContent=text;
  while(row.childElementCount>text.length)row.firstChild.remove();
  for(let place=row.childElementCount;place<text.length;place++){
    row.prepend(text[text.length-1-place]===","?separator():reelFor());
  }
  [...text].forEach((char,at)=>{
    const cell=row.children[at];
    if(char===",")return;
    cell.firstChild.style.transform=`translateY(${-10*Number(char)}%)`;
    cell.firstChild.style.transitionDelay=`${(text.length-1-at)*40}ms`;
  });
};
