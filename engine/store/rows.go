package store

import (
	"orrery/engine/job"
)

// This file writes the rows of every step as JSON text, field by field: encoding/json took a
// tenth of a job's processor time for them. Its text is the measure, byte for byte; a test
// compares the two over filled rows, so a field that is missing here is found.

func (t *text) job(j *job.Job) {
	t.open()
	t.str("id", j.ID)
	t.int("version", j.Version)
	t.str("blueprint", j.Blueprint)
	t.str("revision", j.Revision)
	t.str("state", j.State)
	t.str("status", string(j.Status))
	t.flagIf("ready", j.Ready)
	t.int("step", j.Step)
	t.intIf("streak", int64(j.Streak))
	t.intIf("last_task", int64(j.LastTask))
	t.int("records", j.Records)
	t.intIf("group", j.Group)
	if j.Wait != nil {
		t.key("wait")
		t.wait(j.Wait)
	}
	t.failureIf("error", j.Error)
	t.strIf("error_message", j.Reason)
	t.strIf("ending", string(j.Ending))
	t.key("client")
	t.client(&j.Client)
	if j.Parent != nil {
		t.key("parent")
		t.open()
		t.str("job_id", j.Parent.JobID)
		t.int("step", j.Parent.Step)
		t.close()
	}
	t.intIf("depth", int64(j.Depth))
	t.wordsIf("trace", j.Trace)
	t.floatIf("dispatch_timeout", j.DispatchTimeout)
	t.floatIf("result_timeout", j.ResultTimeout)
	t.strIf("webhook_url", j.WebhookURL)
	t.date("created_at", j.CreatedAt)
	t.date("updated_at", j.UpdatedAt)
	t.dateIf("ended_at", j.EndedAt)
	t.dateIf("cancel_requested_at", j.CancelAsked)
	t.flagIf("compensating", j.Compensating)
	t.flagIf("closed", j.Closed)
	t.dateIf("due", j.Due)
	t.listIf("recent", j.Recent)
	t.rawIf("files", j.Files)
	if j.Ends != nil {
		t.key("ends")
		t.open()
		t.int("count", int64(j.Ends.Count))
		t.int("step", j.Ends.Step)
		t.str("run", j.Ends.Run)
		t.date("at", j.Ends.At)
		t.close()
	}
	t.close()
}

func (t *text) client(c *job.Client) {
	t.open()
	t.strIf("id", c.ID)
	t.strIf("plan", c.Plan)
	t.rawIf("params", c.Params)
	t.close()
}

func (t *text) wait(w *job.Wait) {
	t.open()
	t.str("for", string(w.For))
	t.date("since", w.Since)
	t.dateIf("until", w.Until)
	t.str("detail", w.Detail)
	t.intIf("task", int64(w.Task))
	t.intIf("open", int64(w.Open))
	t.intIf("total", int64(w.Total))
	t.strIf("into", w.Into)
	t.wordsIf("transitions", w.Transitions)
	t.strIf("child", w.Child)
	t.strIf("integration", w.Integration)
	t.strIf("message", w.Message)
	t.intIf("step", w.Step)
	t.close()
}

func (t *text) task(k *job.Task) {
	t.open()
	t.str("job_id", k.JobID)
	t.int("n", int64(k.N))
	t.strIf("id", k.ID)
	t.str("state", string(k.State))
	t.int("step", k.Step)
	t.str("job_state", k.JobState)
	t.str("type", k.Type)
	t.raw("params", k.Params)
	t.wordsIf("transitions", k.Transitions)
	t.strIf("strategy", k.Strategy)
	t.floatIf("priority", k.Priority)
	if k.MaxCost != nil {
		t.float("max_cost", *k.MaxCost)
	}
	t.rawIf("resources", k.Resources)
	t.floatIf("timeout", k.Timeout)
	if k.Retry != nil {
		t.key("retry")
		t.retry(k.Retry)
	}
	t.flagIf("branch", k.Branch)
	t.strIf("into", k.Into)
	t.intIf("attempt", int64(k.Attempt))
	t.intIf("hand_out", int64(k.HandOut))
	t.strIf("worker", k.Worker)
	t.date("queued", k.Queued)
	if !k.LeasedAt.IsZero() {
		t.date("leased_at", k.LeasedAt)
	}
	t.dateIf("dispatch_deadline", k.Dispatch)
	t.dateIf("due", k.Due)
	t.failureIf("last_error", k.LastError)
	t.wordsIf("trace", k.Trace)
	t.rawIf("files", k.Files)
	t.close()
}

func (t *text) retry(r *job.RetryPolicy) {
	t.open()
	t.int("max", int64(r.Max))
	t.floatIf("initial_seconds", r.Initial)
	t.floatIf("factor", r.Factor)
	t.floatIf("max_seconds", r.Cap)
	t.listIf("only", r.Only)
	t.flagIf("never", r.Never)
	t.close()
}

func (t *text) record(r *job.Record) {
	t.open()
	t.int("n", r.N)
	t.stamp("at", r.At)
	t.str("kind", string(r.Kind))
	t.intIf("step", r.Step)
	t.str("state", r.State)
	t.strIf("next", r.Next)
	t.str("status", string(r.Status))
	t.floatIf("duration_ms", r.Duration)
	t.strIf("handler", r.Handler)
	t.valuesIf("set", r.Set)
	t.listIf("unset", r.Unset)
	if r.Task != nil {
		t.key("task")
		t.note(r.Task)
	}
	if len(r.Tasks) > 0 {
		t.list("tasks", len(r.Tasks), func(i int) { t.note(&r.Tasks[i]) })
	}
	t.failureIf("error", r.Error)
	t.strIf("by", r.By)
	t.strIf("detail", r.Detail)
	if len(r.Log) > 0 {
		t.list("log", len(r.Log), func(i int) {
			t.open()
			t.str("level", r.Log[i].Level)
			t.str("message", r.Log[i].Message)
			t.strIf("state", r.Log[i].State)
			t.close()
		})
	}
	if len(r.Acts) > 0 {
		t.list("acts", len(r.Acts), func(i int) {
			t.open()
			t.str("what", r.Acts[i].What)
			t.strIf("detail", r.Acts[i].Detail)
			t.close()
		})
	}
	t.close()
}

func (t *text) note(n *job.TaskNote) {
	t.open()
	t.int("n", int64(n.N))
	t.strIf("task_id", n.ID)
	t.str("task_type", n.Type)
	t.strIf("worker", n.Worker)
	t.intIf("attempt", int64(n.Attempt))
	t.strIf("status", n.Status)
	t.floatIf("priority", n.Priority)
	t.flagIf("emulated", n.Emulated)
	if n.LeasedAt != nil {
		t.stamp("leased_at", *n.LeasedAt)
	}
	t.rawIf("data_metadata", n.Files)
	t.close()
}

func (t *text) failureIf(key string, e *job.Error) {
	if e == nil {
		return
	}
	t.key(key)
	t.open()
	t.str("code", e.Code)
	t.str("message", e.Message)
	if e.Details != nil {
		t.key("details")
		t.any(e.Details)
	}
	t.intIf("attempts", int64(e.Attempts))
	t.strIf("task_id", e.TaskID)
	t.strIf("state", e.State)
	t.strIf("file", e.File)
	t.intIf("line", int64(e.Line))
	t.intIf("col", int64(e.Col))
	t.strIf("backtrace", e.Trace)
	t.close()
}
