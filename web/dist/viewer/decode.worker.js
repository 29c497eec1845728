import{a as n}from"./chunk-L7ECG5ON.js";var s=new n(e=>postMessage(e));addEventListener("message",e=>s.take(e.data));
