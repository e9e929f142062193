package engine

import (
	"testing"

	"orrery/engine/job"
)

// This file tests that a new owner knows what is being cancelled, however much else is due.

func TestACancelIsRememberedBehindManyDates(t *testing.T) {
	r := newRig(t)
	other := r.begin("work", `{}`)
	r.take()
	id := r.begin("work", `{}`)
	asked := r.take()
	if err := r.Cancel(r.ctx, id, "ann"); err != nil {
		t.Fatal(err)
	}
	for range maxReady { // all are due before the grace of the cancel ends
		r.submit("nap", `{"seconds": 5}`)
	}
	r.reboot()
	if !r.line.told[taskKey{id, asked.N}] {
		t.Error("the worker of the job that is being cancelled is not told again")
	}
	if r.line.told[taskKey{other, 1}] {
		t.Error("the worker of another job is told to stop")
	}
	r.is(id, job.WaitingWorker, "start")
}
