import{a as n}from"./chunk-NSRFA7W2.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
