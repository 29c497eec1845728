import{a as n}from"./chunk-3O6IWDA7.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
