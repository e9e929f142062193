// Package peers is how the nodes of one store talk to each other: whose a job is, requests
// that are handed on to their job's owner as they came, and short messages.
//
// Words: a node that gets a request for another node's job relays it: the same request, with
// the caller's own credentials, and one header more (the seal) that only nodes can write. It
// says which node sends and to which, when, and the hash of the body, under a MAC with the
// secret that all nodes find in their store. A sealed request is never relayed again, so it
// can not go round; one whose seal does not fit is refused. A message (/_node/...) is a sealed
// request that a node makes by itself.
//
// Who owns what says package node. Nothing here knows the meaning of a request: package api
// decides what is relayed, and what an answer that does not come means for the caller.
package peers
