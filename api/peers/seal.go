package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// This file is the seal: the header by which a node knows another one's request.

// Header carries the seal.
const Header = "X-Orrery-Node"

// RefusedHeader is in the answer of a node that does not take a seal: nothing was done. The
// caller must not hear of it, for it is no fault of his.
const RefusedHeader = "X-Orrery-Refused"

const (
	sealVersion = "v1"
	// sealLife bounds the time between seal and arrival, both ways: the clocks of nodes may
	// differ, and who could repeat a request within it has the caller's token anyway.
	sealLife = 5 * time.Minute
)

// Seal is what a node says of a request that it sends.
type Seal struct {
	From        string // the node's id
	Certificate string // of the caller, as the first node has verified it; "" for none
	bodyHash    string
}

// errSeal is given for every seal that does not fit: who tries others learns nothing.
var errSeal = errors.New("the request says that it comes from a node of this store, and its seal does not fit")

// seal writes the header for a request to the node named to.
func (p *Peers) seal(method, target, to, certificate string, body []byte) string {
	hash := sha256.Sum256(body)
	parts := []string{sealVersion, p.cfg.ID, to, strconv.FormatInt(p.cfg.Clock.Now().UnixMilli(), 10), hex.EncodeToString([]byte(certificate)), hex.EncodeToString(hash[:])}
	return strings.Join(append(parts, p.mac(method, target, parts)), ";")
}

func (p *Peers) mac(method, target string, parts []string) string {
	m := hmac.New(sha256.New, p.cfg.Secret)
	m.Write([]byte("orrery node\n" + method + "\n" + target + "\n" + strings.Join(parts, "\n"))) // a hash never fails
	return hex.EncodeToString(m.Sum(nil))
}

// Open checks the header of a request that has come: method and target as they stand in its
// first line. The body is to be checked with Seal.Fits when it is there.
func (p *Peers) Open(header, method, target string) (*Seal, error) {
	parts := strings.Split(header, ";")
	if len(parts) != 7 || parts[0] != sealVersion {
		return nil, errSeal
	}
	if !hmac.Equal([]byte(p.mac(method, target, parts[:6])), []byte(parts[6])) {
		return nil, errSeal
	}
	at, err := strconv.ParseInt(parts[3], 10, 64)
	certificate, hexErr := hex.DecodeString(parts[4])
	if err != nil || hexErr != nil {
		return nil, errSeal
	}
	if parts[2] != p.cfg.ID { // it was for whoever had this address before, or several nodes give one address as theirs
		return nil, fmt.Errorf("the request is for the node %s, this one is %s: NODE_URL must lead to one node alone", parts[2], p.cfg.ID)
	}
	if off := p.cfg.Clock.Now().Sub(time.UnixMilli(at)).Abs(); off > sealLife {
		return nil, fmt.Errorf("the clocks of the nodes %s and %s are %s apart, at most %s are borne", parts[1], p.cfg.ID, off.Round(time.Second), sealLife)
	}
	return &Seal{From: parts[1], Certificate: string(certificate), bodyHash: parts[5]}, nil
}

// Fits reports whether the body is the one that was sealed.
func (s *Seal) Fits(body []byte) bool {
	hash := sha256.Sum256(body)
	return hex.EncodeToString(hash[:]) == s.bodyHash
}
