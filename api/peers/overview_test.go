package peers

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"orrery/engine/node"
	"orrery/workers"
)

// This file tests that a node that hangs is named, and hides nobody else's workers.

// alone is a node that sees others and does nothing.
type alone struct {
	Membership
	others []node.Peer
}

func (a alone) Peers() []node.Peer { return a.others }

// lone is a hub that knows one worker.
type lone struct{ Hub }

func (lone) Snapshot() []workers.View { return []workers.View{{ID: "w"}} }

// silence answers nothing until the caller gives up.
type silence struct{}

func (silence) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestANodeThatHangsIsNamedWithinASecond(t *testing.T) {
	p, err := New(Config{ID: "a", Secret: []byte("0123456789abcdef"), Transport: silence{}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	p.self, p.hub = alone{others: []node.Peer{{ID: "b", URL: "http://b"}, {ID: "c", URL: "http://c"}}}, lone{}
	for _, most := range []time.Duration{overviewTime + 500*time.Millisecond, overviewTime / 2} { // then they are known to be silent
		began := time.Now()
		views, missing := p.Workers(t.Context())
		slices.Sort(missing)
		if took := time.Since(began); took > most {
			t.Errorf("it took %s, at most %s", took, most)
		}
		if len(views) != 1 || len(views["a"]) != 1 || !slices.Equal(missing, []string{"b", "c"}) {
			t.Errorf("views %v, missing %v", views, missing)
		}
	}
}
