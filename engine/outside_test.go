package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"orrery/engine/faultstore"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/engine/store/memory"
)

// This file tests clients' webhooks: what is sent, when again, and what is given up.

// postbox is the outside: it keeps what was posted and fails as it is told.
type postbox struct {
	mu     sync.Mutex
	posts  []post
	fail   func(n int) error // of the n-th try, from 1
	refuse error
	held   chan struct{} // when set, a try waits for it
	begun  chan string
}

type post struct {
	client, address, id string
	at                  time.Time
	body                webhookBody
}

func (p *postbox) Accept(string, string) error { return p.refuse }

func (p *postbox) Post(ctx context.Context, client, address, id string, at time.Time, body []byte) error {
	if p.begun != nil {
		p.begun <- address
	}
	if p.held != nil {
		select {
		case <-p.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := post{client: client, address: address, id: id, at: at}
	if err := json.Unmarshal(body, &one.body); err != nil {
		return err
	}
	p.posts = append(p.posts, one)
	if p.fail == nil {
		return nil
	}
	return p.fail(len(p.posts))
}

func (p *postbox) all() []post {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.posts)
}

// failed is an error as webhook.Failure is one.
type failed struct {
	final, notSent bool
	wait           time.Duration
}

func (failed) Error() string               { return "answered 500" }
func (f failed) Final() bool               { return f.final }
func (f failed) NotSent() bool             { return f.notSent }
func (f failed) RetryAfter() time.Duration { return f.wait }

func webhookRig(t *testing.T, mods ...func(*Config)) (*rig, *postbox) {
	t.Helper()
	box := &postbox{}
	return newRig(t, append([]func(*Config){func(c *Config) { c.Webhooks = box }}, mods...)...), box
}

// beginHooked starts a job with a webhook.
func (r *rig) beginHooked(blueprint, data, address string) string {
	r.t.Helper()
	id, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: json.RawMessage(data), WebhookURL: address, Client: job.Client{ID: "ann"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return id
}

func TestWebhookOfEachEnd(t *testing.T) {
	r, box := webhookRig(t)
	done := r.beginHooked("straight", `{}`, "https://h/1")
	broken := r.beginHooked("work", `{}`, "https://h/2")
	r.answer(r.take(), failure(job.CodePermanent))
	stopped := r.beginHooked("nap", `{}`, "https://h/3")
	if err := r.Cancel(r.ctx, stopped, "ann"); err != nil {
		t.Fatal(err)
	}
	late := r.beginHooked("ask", `{"seconds": 5}`, "https://h/4")
	r.pass(seconds(5))
	quiet := r.begin("straight", `{}`)
	got := map[string]post{}
	for _, p := range box.all() {
		got[p.body.JobID] = p
	}
	if len(got) != 4 || len(box.posts) != 4 {
		t.Fatalf("%d posts: %+v", len(box.posts), box.posts)
	}
	for id, want := range map[string]webhookBody{
		done:    {Event: "job_finished", Status: job.Finished, Result: json.RawMessage(`{"visits":["start","middle"]}`)},
		broken:  {Event: "job_quarantined", Status: job.Quarantined, Result: json.RawMessage(`{}`)},
		stopped: {Event: "job_cancelled", Status: job.Cancelled, Result: json.RawMessage(`{}`)},
		late:    {Event: "job_failed", Status: job.Failed, Result: json.RawMessage(`{}`)},
	} {
		p := got[id]
		if p.body.Event != want.Event || p.body.Status != want.Status || string(p.body.Result) != string(want.Result) || p.client != "ann" {
			t.Errorf("%s: %+v", want.Event, p)
		}
		if (p.body.Error != nil) != (id == broken || id == late) {
			t.Errorf("%s: the error is %v", want.Event, p.body.Error)
		}
		if v, err := r.View(r.ctx, id); err != nil || v.Deliveries != nil {
			t.Errorf("%s: delivered, and still shown: %v %v", want.Event, v.Deliveries, err)
		}
	}
	if _, ok := got[quiet]; ok {
		t.Error("a job without webhook_url was told")
	}
}

func TestWebhookIsTriedAgainWithTheSameID(t *testing.T) {
	r, box := webhookRig(t)
	box.fail = func(n int) error {
		switch n {
		case 1:
			return failed{}
		case 2:
			return failed{wait: time.Hour} // the receiver's own wish
		}
		return nil
	}
	id := r.beginHooked("straight", `{}`, "https://h/hook?token=hidden")
	why, err := r.Why(r.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(why.Details, "\n"); !strings.Contains(text, "failed (try 1): answered 500; it is tried again at "+Time(noon.Add(pauses[0])).String()) || strings.Contains(text, "hidden") {
		t.Errorf("why says:\n%s", text)
	}
	r.reboot() // tries and dates stand in the store
	r.pass(pauses[0] - time.Millisecond)
	if n := len(box.all()); n != 1 {
		t.Fatalf("%d tries before the date", n)
	}
	r.pass(time.Millisecond)
	v, err := r.View(r.ctx, id)
	if err != nil || len(v.Deliveries) != 1 || v.Deliveries[0].State != DeliveryRetried || v.Deliveries[0].Attempts != 2 || v.Deliveries[0].To != "h" {
		t.Fatalf("after two tries: %+v %v", v.Deliveries, err)
	}
	r.pass(time.Hour - time.Millisecond)
	if n := len(box.all()); n != 2 {
		t.Fatalf("Retry-After was not kept: %d tries", n)
	}
	r.pass(time.Millisecond)
	r.pass(50 * time.Hour)
	posts := box.all()
	if len(posts) != 3 || posts[0].id != posts[2].id || posts[1].id != posts[2].id || !strings.HasPrefix(posts[0].id, "msg_"+id) || !posts[2].at.After(posts[1].at) {
		t.Errorf("posts: %+v", posts)
	}
}

func TestWebhookIsGivenUpAndTriedAgainByHand(t *testing.T) {
	r, box := webhookRig(t)
	box.fail = func(int) error { return failed{} }
	id := r.beginHooked("straight", `{}`, "https://h/1")
	for range 20 {
		r.pass(24 * time.Hour)
	}
	if n := len(box.all()); n != len(pauses)+1 {
		t.Fatalf("%d tries, want %d", n, len(pauses)+1)
	}
	list, err := r.GivenUp(r.ctx, "", 10)
	if err != nil || len(list) != 1 || list[0].JobID != id || list[0].State != DeliveryGivenUp || list[0].Event != "job_finished" || list[0].GivenUp == nil {
		t.Fatalf("given up: %+v %v", list, err)
	}
	why, err := r.Why(r.ctx, id)
	if err != nil || !slices.Contains(why.Do, "orrery deliveries retry "+id) {
		t.Errorf("why does not say what to do: %+v %v", why, err)
	}
	box.fail = nil
	if n, err := r.Redeliver(r.ctx, id, "ann"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	r.settle()
	if n := len(box.all()); n != len(pauses)+2 {
		t.Errorf("%d tries after the person's", n)
	}
	_, err = r.Redeliver(r.ctx, id, "ann")
	refused(t, err, NotWaiting)
	_, err = r.Redeliver(r.ctx, job.NewID(noon, 1), "ann")
	refused(t, err, NotFound)
}

func TestFinalFailureIsNotRepeated(t *testing.T) {
	r, box := webhookRig(t)
	box.fail = func(int) error { return failed{final: true} }
	r.beginHooked("straight", `{}`, "https://h/1")
	r.pass(100 * time.Hour)
	if n := len(box.all()); n != 1 {
		t.Errorf("%d tries", n)
	}
	if list, err := r.GivenUp(r.ctx, "", 10); err != nil || len(list) != 1 || list[0].Attempts != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

// The first end is told as it was, although the job has gone on since.
func TestWebhookTellsTheEndThatItIsAbout(t *testing.T) {
	r, box := webhookRig(t)
	box.fail = func(n int) error {
		if n == 1 {
			return failed{}
		}
		return nil
	}
	id := r.beginHooked("work", `{}`, "https://h/1")
	r.answer(r.take(), failure(job.CodePermanent))
	r.settle()
	if err := r.Retry(r.ctx, id, json.RawMessage(`{"more": true}`), false, "ann"); err != nil {
		t.Fatal(err)
	}
	r.settle()
	r.pass(pauses[0])
	r.answer(r.take(), success(`{"x": 1}`))
	r.settle()
	r.is(id, job.Finished, "finished")
	posts := box.all()
	if len(posts) != 3 {
		t.Fatalf("posts: %+v", posts)
	}
	for i, want := range []string{`job_quarantined {}`, `job_quarantined {}`, `job_finished {"more":true,"x":1}`} {
		if got := fmt.Sprintf("%s %s", posts[i].body.Event, posts[i].body.Result); got != want {
			t.Errorf("post %d tells %s, want %s", i, got, want)
		}
	}
	if posts[1].id == posts[2].id {
		t.Error("two ends have one id")
	}
}

func TestWebhookIsRefusedAtCreation(t *testing.T) {
	r, box := webhookRig(t)
	box.refuse = errors.New("127.0.0.1 is internal")
	ask := Request{Blueprint: "straight", InitialData: json.RawMessage(`{}`), WebhookURL: "http://127.0.0.1/"}
	_, _, err := r.Submit(r.ctx, ask)
	refused(t, err, BadRequest)
	_, _, err = newRig(t).Submit(r.ctx, ask)
	refused(t, err, BadRequest)
}

// A receiver that does not answer holds some places, and nothing else waits for them.
func TestSlowReceiverHoldsNobodyUp(t *testing.T) {
	box := &postbox{held: make(chan struct{}), begun: make(chan string, 100)}
	r := newRig(t, func(c *Config) { c.Webhooks = box })
	for i := range flyToOne + 5 {
		r.submitHooked("straight", fmt.Sprintf("https://slow/%d", i))
	}
	r.run()
	for range flyToOne {
		<-box.begun
	}
	parent := r.submit("parent", `{}`) // needs the outbox twice
	r.waitFor(parent, job.Finished)
	r.submitHooked("straight", "https://quick/1")
	if got := <-box.begun; got != "https://quick/1" {
		t.Errorf("%s began: more than %d at once to one receiver", got, flyToOne)
	}
	close(box.held)
	for len(box.all()) < flyToOne+6 {
		select {
		case <-box.begun:
		case <-r.clock.Armed():
			r.clock.Advance(time.Second)
		}
	}
}

func (r *rig) submitHooked(blueprint, address string) {
	r.t.Helper()
	if _, _, err := r.Submit(r.ctx, Request{Blueprint: blueprint, InitialData: json.RawMessage(`{}`), WebhookURL: address}); err != nil {
		r.t.Fatal(err)
	}
}

// What was sent and could not be crossed out is not sent a second time while the process lives.
func TestOutcomeThatCanNotBeWritten(t *testing.T) {
	var faults *faultstore.Store
	r, box := webhookRig(t, func(c *Config) {
		faults = faultstore.New(memory.New())
		c.Store = store.Store(faults)
	})
	faults.Fail(faultstore.Delivered, 1, faultstore.Before)
	again, release := faults.Hold(faultstore.Delivered, 2)
	r.submitHooked("straight", "https://h/1")
	r.run()
	for waiting := true; waiting; {
		select {
		case <-r.clock.Armed():
			r.clock.Advance(retryStore)
		case <-again:
			waiting = false
		case <-r.ctx.Done():
			t.Fatal("the note was not tried again")
		}
	}
	release()
	if n := len(box.all()); n != 1 {
		t.Errorf("sent %d times", n)
	}
}

// A burst to one receiver goes out as fast as it answers, though only few calls are under way
// at a time: the clock stands still.
func TestBurstToOneReceiver(t *testing.T) {
	const jobs = 600 // more than a batch of the outbox
	box := &postbox{begun: make(chan string, jobs)}
	r := newRig(t, func(c *Config) { c.Webhooks = box })
	for i := range jobs {
		r.submitHooked("straight", fmt.Sprintf("https://h/%d", i))
	}
	r.run()
	seen := map[string]bool{}
	for range jobs {
		select {
		case address := <-box.begun:
			seen[address] = true
		case <-r.ctx.Done():
			t.Fatalf("%d of %d were told", len(seen), jobs)
		}
	}
	if len(seen) != jobs {
		t.Errorf("%d receivers in %d calls", len(seen), jobs)
	}
}

// heldAnswer holds what the store answered back, as a busy machine does.
type heldAnswer struct {
	store.Store
	on   chan struct{} // each Messages takes one, if there is one, and is held then
	read chan struct{} // it was read
	use  chan struct{} // it may be used
}

func (h *heldAnswer) Messages(ctx context.Context, now time.Time, limit int) ([]job.Message, error) {
	select {
	case <-h.on:
	default:
		return h.Store.Messages(ctx, now, limit)
	}
	all, err := h.Store.Messages(ctx, now, limit)
	h.read <- struct{}{}
	<-h.use
	return all, err
}

// TestADeliveryIsNotTriedByAnOldAnswer: a look at the store that began while a delivery was under
// way must not make it again, nor undo that it was given up.
func TestADeliveryIsNotTriedByAnOldAnswer(t *testing.T) {
	slow := &heldAnswer{Store: memory.New(), on: make(chan struct{}, 1), read: make(chan struct{}), use: make(chan struct{})}
	r, box := webhookRig(t, func(c *Config) { c.Store = slow })
	box.held, box.begun = make(chan struct{}), make(chan string, 10)
	box.fail = func(n int) error {
		if n == 1 {
			return failed{final: true}
		}
		return nil
	}
	r.run()
	id, _, err := r.Submit(r.ctx, Request{Blueprint: "straight", InitialData: json.RawMessage(`{}`), WebhookURL: "https://h/1", Client: job.Client{ID: "ann"}})
	if err != nil {
		t.Fatal(err)
	}
	<-box.begun
	look := func() {
		slow.on <- struct{}{}
		nudge(r.outbox)
		<-slow.read
	}
	look()
	close(box.held)
	for len(r.givenUp(t)) == 0 || r.flying() {
		runtime.Gosched() // until the try is over and noted
	}
	slow.use <- struct{}{}
	look() // the one before was used by now
	slow.use <- struct{}{}
	for r.flying() {
		runtime.Gosched()
	}
	if all := box.all(); len(all) != 1 {
		t.Errorf("job %s was told of %d times: %+v", id, len(all), all)
	}
	if all := r.givenUp(t); len(all) != 1 {
		t.Errorf("%d deliveries are given up, want 1", len(all))
	}
}

func (r *rig) givenUp(t *testing.T) []Delivery {
	t.Helper()
	all, err := r.GivenUp(r.ctx, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (r *rig) flying() bool {
	r.flights.mu.Lock()
	defer r.flights.mu.Unlock()
	return len(r.flights.flying) > 0
}

// A receiver for whom nothing waits takes no memory.
func TestQueuesOfReceiversEnd(t *testing.T) {
	var f flights
	to := func(i int) job.Message { return job.Message{ID: fmt.Sprint(i), Kind: job.MsgWebhook, To: "http://one"} }
	for i := range flyToOne {
		if _, free := f.begin(to(i)); !free {
			t.Fatalf("message %d finds no place", i)
		}
	}
	last := to(flyToOne)
	if f.wait(last) {
		t.Fatal("one more finds a place")
	}
	f.mu.Lock()
	f.to["one"]-- // a place is free, and the store brings the message again before it is taken
	f.mu.Unlock()
	if _, free := f.begin(last); !free || len(f.queues) != 0 || len(f.waiting) != 0 {
		t.Errorf("it flies: %v, and %d queues are left", free, len(f.queues))
	}
}
