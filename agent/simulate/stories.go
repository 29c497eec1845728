package simulate

// story is what a simulated customer needs. The lines are invented; whatever looks like a number of an order or a
// person names nobody.
type story struct {
	language string
	title    string // of the page that the customer has open
	path     string // of its address
	opening  []string
	replies  []string // one after each message of the agent
	waiting  string   // when nobody comes
	show     string   // before the customer shows the screen
	direct   string   // said past the server
	thanks   string
}

var stories = []story{
	{
		language: "en", title: "Delivery of an order", path: "/orders/delivery",
		opening: []string{
			"Hello! My parcel was supposed to arrive on Tuesday.",
			"The tracking page has said “out for delivery” for three days now.",
		},
		replies: []string{
			"It's order 4711-0815, two boxes.",
			"No, there was no card in the letter box, and the neighbours don't have it either.",
			"The address is the right one, yes. The flat is on the third floor, perhaps the driver did not find the bell.",
			"Thursday afternoon would be fine.",
		},
		waiting: "Is anybody there? I can wait a little longer.",
		show:    "I don't see where to click. Can I show you my screen?",
		direct:  "The door code is 2580, please don't write it down anywhere.",
		thanks:  "Great, thank you for looking into it!",
	},
	{
		language: "en", title: "Sign in", path: "/account/sign-in",
		opening: []string{
			"Hi, I can't sign in since I got a new phone.",
			"The code that I'm asked for goes to the old one.",
		},
		replies: []string{
			"I still have the e-mail address, yes.",
			"It says “too many attempts, try again later”.",
			"Where do I find the recovery codes? I think I printed them once.",
			"Found them! I'm typing the first one… it worked.",
		},
		waiting: "Hello? I need this today if at all possible.",
		show:    "The page looks different here. May I show it to you?",
		direct:  "The recovery code starts with 93, is that the right list?",
		thanks:  "I'm in. Thanks a lot, you saved my day.",
	},
	{
		language: "en", title: "Invoices", path: "/billing/invoices",
		opening: []string{
			"Good morning. The invoice of last month has the wrong company name on it.",
			"Our accountant can't use it like this.",
		},
		replies: []string{
			"We were renamed in spring; it should read “Elm & Sons Ltd.” now.",
			"The address stayed the same.",
			"Could you send the corrected one as a PDF, please?",
			"I see it in the list now. And the next ones will be right by themselves?",
		},
		waiting: "No hurry, but I'd like to know that somebody reads this.",
		show:    "It is easier to show than to describe. Can I share my screen?",
		direct:  "The VAT number is GB 000 0000 00.",
		thanks:  "Perfect. Have a good day!",
	},
	{
		language: "en", title: "Printer setup", path: "/help/printer",
		opening: []string{
			"The printer shows a blinking orange light and prints nothing.",
			"I have switched it off and on twice already.",
			"Help, please :)",
		},
		replies: []string{
			"It's the small one, the P-20.",
			"The cable is in, and the computer says “ready”.",
			"There's a paper size question on the display, A4 or Letter?",
			"A4. Oh! It starts printing.",
		},
		waiting: "Still blinking…",
		show:    "Shall I show you the settings window?",
		direct:  "The serial number is P20-000-111.",
		thanks:  "It prints! Thank you.",
	},
	{
		language: "zh", title: "订单物流", path: "/orders/shipping",
		opening: []string{
			"您好，我的包裹三天没有更新物流信息了。",
			"订单页面一直显示“派送中”。",
		},
		replies: []string{
			"订单号是 4711-0815，一共两件。",
			"没有收到短信，门口也没有快递。",
			"地址没错，三楼，可能门铃坏了。",
			"周四下午可以，谢谢。",
		},
		waiting: "有人在吗？我可以再等一会儿。",
		show:    "我找不到在哪里点，可以给您看一下我的屏幕吗？",
		direct:  "门禁密码是 2580，请不要记录下来。",
		thanks:  "太好了，谢谢您的帮助！",
	},
	{
		language: "zh", title: "退款申请", path: "/orders/refund",
		opening: []string{
			"你好，我想申请退款。",
			"上周买的耳机左边没有声音。",
		},
		replies: []string{
			"试过换一部手机，还是一样。",
			"发票在，包装盒也在。",
			"退款会退到原来的银行卡吗？大概几天？",
			"好的，我现在填写退货单。",
		},
		waiting: "请问现在有客服吗？",
		show:    "页面上没有退款按钮，我给您看一下屏幕好吗？",
		direct:  "银行卡尾号是 0000。",
		thanks:  "明白了，非常感谢！",
	},
	{
		language: "zh", title: "账号登录", path: "/account/sign-in",
		opening: []string{
			"您好，换了手机以后登录不了。",
			"验证码还是发到旧号码上。",
		},
		replies: []string{
			"邮箱还能用。",
			"提示“尝试次数过多，请稍后再试”。",
			"恢复码在哪里？我好像打印过一次。",
			"找到了，第一个就可以用。",
		},
		waiting: "比较急，麻烦尽快回复，谢谢。",
		show:    "我这里的页面不一样，可以共享屏幕给您看吗？",
		direct:  "恢复码以 93 开头，对吗？",
		thanks:  "登录成功了，谢谢！",
	},
}

// storiesIn returns the stories of a language, or all.
func storiesIn(language string) []story {
	var out []story
	for _, s := range stories {
		if language == "" || s.language == language {
			out = append(out, s)
		}
	}
	return out
}

// lines are all lines of a story, for a customer who only makes load.
func (s story) lines() []string {
	return append(append(append([]string{}, s.opening...), s.replies...), s.thanks)
}
