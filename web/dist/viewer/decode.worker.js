import{a as n}from"./chunk-P6M7KP46.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
