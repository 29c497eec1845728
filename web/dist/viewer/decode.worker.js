import{a as n}from"./chunk-4FHBSGP5.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
