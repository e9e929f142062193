package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
	"orrery/engine/job"
)

// This file says who is asking and what each role may do.

// access is a set of roles, or one of the ways in that need none.
type access uint16

const (
	roleClient   access = 1 << iota // creates jobs, sees and cancels its own
	roleViewer                      // sees everything, changes nothing
	roleApprover                    // sees jobs, decides approvals
	roleOperator                    // runs the place: cancel, reopen, reload
	roleAdmin                       // everything
	public                          // no token
	worker                          // the worker's token, checked by the handler
	page                            // the console's session, checked by the handler
	local                           // no token from this machine, else the roles beside it
	signed                          // a URL that this server signed for the file, else the roles beside it
	ownBody                         // the handler reads the body itself, as it comes
	fellow                          // another node of the store, by its seal
	atOwner                         // for the node that owns the job :id; others hand the request on

	everyone = roleClient | roleViewer | roleApprover | roleOperator | roleAdmin
	creators = roleClient | roleOperator | roleAdmin
	watchers = roleViewer | roleOperator | roleAdmin
	deciders = roleApprover | roleOperator | roleAdmin
	keepers  = roleOperator | roleAdmin
)

var roleNames = map[string]access{"client": roleClient, "viewer": roleViewer, "approver": roleApprover, "operator": roleOperator, "admin": roleAdmin}

// Client is somebody who may come in with a token.
type Client struct {
	Name     string
	Token    string            // the server keeps its hash only
	Hash     [sha256.Size]byte // of the token, where Token is not given
	Plan     string
	Role     string          // client, viewer, approver, operator or admin
	Params   json.RawMessage // an object, for scripts: every setting but the token
	Attempts *int64          // jobs that it may start in a calendar month; nil: without a bound
	role     access
}

// sees reports whether a job of the named owner exists for this client.
func (who *Client) sees(owner string) bool { return who.role != roleClient || who.Name == owner }

// may reports whether the client has one of the roles.
func (who *Client) may(need access) bool { return who.role&need != 0 }

func (who *Client) forJob() job.Client {
	return job.Client{ID: who.Name, Plan: who.Plan, Params: who.Params}
}

// keyring finds clients by the hash of their token, so that the time a look-up takes says
// nothing about how much of a guessed token was right.
type keyring map[[sha256.Size]byte]*Client

func newKeyring(clients []Client) (keyring, error) {
	k, names := keyring{}, map[string]bool{}
	for _, one := range clients {
		one := one
		var ok bool
		if one.role, ok = roleNames[one.Role]; !ok {
			return nil, fmt.Errorf("client %q: there is no role %q", one.Name, one.Role)
		}
		if one.Token != "" {
			one.Hash, one.Token = sha256.Sum256([]byte(one.Token)), ""
		}
		switch {
		case one.Name == "" || one.Hash == [sha256.Size]byte{}:
			return nil, fmt.Errorf("client %q: a client needs a name and a token", one.Name)
		case names[one.Name]:
			return nil, fmt.Errorf("client %q: two clients have this name, so each would see the other's jobs", one.Name)
		case k[one.Hash] != nil:
			return nil, fmt.Errorf("client %q: it has the same token as %q", one.Name, k[one.Hash].Name)
		}
		names[one.Name] = true
		k[one.Hash] = &one
	}
	return k, nil
}

// find gives the client with the token, or nil.
func (k keyring) find(token string) *Client {
	if token == "" {
		return nil
	}
	hash := sha256.Sum256([]byte(token))
	who := k[hash]
	if who == nil {
		return nil
	}
	if subtle.ConstantTimeCompare(who.Hash[:], hash[:]) != 1 {
		return nil
	}
	return who
}

// clientToken reads X-Client-Token, or Authorization: Bearer.
func clientToken(c *fiber.Ctx) string {
	if t := c.Get("X-Client-Token"); t != "" {
		return t
	}
	scheme, t, _ := strings.Cut(c.Get(fiber.HeaderAuthorization), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}

// fromHere reports whether the request comes from this machine and was passed on by nobody:
// behind a proxy every request comes from this machine, and so does what a node hands on that
// stands beside this one.
func fromHere(c *fiber.Ctx) bool {
	for _, h := range []string{fiber.HeaderXForwardedFor, "Forwarded", "X-Real-Ip", "Via", peers.Header} {
		if c.Get(h) != "" {
			return false
		}
	}
	ip := c.Context().RemoteIP()
	return ip.IsLoopback() && localName(string(c.Context().Host()))
}

// localName reports whether a Host header names this machine. A page of another site that
// has its own name point here (DNS rebinding) sends that name.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return ip != nil && ip.IsLoopback()
}
