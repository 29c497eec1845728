var t;addEventListener("message",e=>{clearTimeout(t),t=setTimeout(()=>postMessage(e.data),e.data)});
