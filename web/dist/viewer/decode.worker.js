import{a as n}from"./chunk-MVO5R5UA.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
