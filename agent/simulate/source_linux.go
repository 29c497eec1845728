package simulate

// manyLoopbacks: Linux answers on all of 127.0.0.0/8.
const manyLoopbacks = true
