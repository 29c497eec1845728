package server

import "github.com/lookalong/lookalong/protocol"

// need is what an actor must have to the object of a verb.
type need int

const (
	never  need = iota // this kind of actor may not use the verb
	always             // no object, or one's own connection
	member             // customer: the conversation is theirs
	reader             // agent: any conversation that exists
	claim              // agent: holds the claim
	party              // the session's conversation is theirs (customer), or they hold its claim (agent)
	bound              // this very connection is an end of the session
)

// rule says who may use a verb, on what.
type rule struct{ customer, agent need }

// verbs is the authorization table: a client's message without a row is refused, and a test fails for a row of
// protocol.Table without one here. Ownership is always read from the hub's and the store's state, never from the
// message.
var verbs = map[string]rule{
	"ping":               {always, always},
	"conversation.open":  {always, never},
	"conversation.close": {member, claim},
	"conversation.watch": {never, reader},
	"conversation.list":  {never, always},
	"chat.send":          {member, reader}, // the claim is checked by the store, in the transaction: a resend is acked for ever
	"chat.history":       {member, reader},
	"chat.mark":          {member, claim},
	"chat.typing":        {member, claim},
	"presence.page":      {always, never},
	"presence.status":    {never, always},
	"presence.list":      {never, always},
	"queue.list":         {never, always},
	"queue.claim":        {never, always}, // the store's compare-and-set decides
	"queue.release":      {never, claim},
	"session.request":    {member, claim},
	"session.accept":     {party, party},
	"session.decline":    {party, party},
	"session.rejoin":     {party, party},
	"session.offer":      {never, bound},
	"session.answer":     {bound, never},
	"session.candidate":  {bound, bound},
	"session.restart":    {bound, never},
	"session.report":     {never, bound},
	"session.end":        {party, party},
	"consent.ask":        {never, bound},
	"consent.state":      {party, never},
}

var (
	errForbidden = protocol.Userf(protocol.CodeForbidden, "You may not do that.")
	errNoConv    = protocol.Userf(protocol.CodeNotFound, "There is no such conversation, or it is not yours to see.")
	errNoSession = protocol.Userf(protocol.CodeSession, "There is no such session any more.")
	errNotOwner  = protocol.Userf(protocol.CodeNotOwner, "You have not claimed this conversation. Claim it first.")
)

func needOf(c *conn, verb string) need {
	r := verbs[verb]
	if c.isAgent() {
		return r.agent
	}
	return r.customer
}

// allow is the one check of a verb against its object. v and s may be nil where the verb has no such object, or where
// it does not exist: a foreign object and a missing one give the same answer.
func allow(c *conn, verb string, v *conv, s *session) error {
	switch needOf(c, verb) {
	case always:
		return nil
	case member:
		if v == nil || v.CustomerID != c.customer {
			return errNoConv //guard:T02
		}
		return nil
	case reader:
		if v == nil {
			return errNoConv
		}
		return nil
	case claim:
		if v == nil {
			return errNoConv
		}
		if v.ClaimedBy != c.agent {
			return errNotOwner //guard:T02
		}
		return nil
	case party:
		if s == nil || c.customer != "" && s.row.CustomerID != c.customer || c.agent != "" && s.row.AgentID != c.agent {
			return errNoSession //guard:T02
		}
		return nil
	case bound:
		if s == nil || s.end(c) != c {
			return errNoSession //guard:T02
		}
		return nil
	}
	return errForbidden //guard:T02
}
