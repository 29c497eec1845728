import{a as n}from"./chunk-ZYTKG5XH.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
