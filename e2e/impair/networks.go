package impair

import "time"

// Named is a line with a name.
type Named struct {
	Name string
	Line Conditions
}

// Networks are those that the picture's benchmarks compare: one way each, with a queue of 200 ms before a limited line.
var Networks = []Named{
	{"loopback", Conditions{}},
	{"25ms", Conditions{Delay: 25 * time.Millisecond}},
	{"25ms/1%", Conditions{Delay: 25 * time.Millisecond, Loss: 0.01}},
	{"25ms/3%", Conditions{Delay: 25 * time.Millisecond, Loss: 0.03}},
	{"25ms/5%", Conditions{Delay: 25 * time.Millisecond, Loss: 0.05}},
	{"2Mbit", Conditions{Delay: 25 * time.Millisecond, Rate: 2_000_000}},
	{"5Mbit", Conditions{Delay: 25 * time.Millisecond, Rate: 5_000_000}},
	{"100ms", Conditions{Delay: 100 * time.Millisecond}},
	{"100ms/1%", Conditions{Delay: 100 * time.Millisecond, Loss: 0.01}},
}
