package store

import "orrery/engine/job"

// This file says for all drivers when a page of jobs is full.

// Listing is a page that a driver fills, row by row.
type Listing struct {
	page   Page
	size   int
	bytes  int
	passed Unreadable
}

// NewListing begins the page that a query asks for.
func NewListing(q Query) *Listing { return &Listing{size: q.PageSize()} }

// Full reports whether the page takes no more rows: whoever meets another one knows that there
// is a next page.
func (l *Listing) Full() bool { return len(l.page.Jobs) >= l.size || l.bytes > PageBytes }

// Ask is how many rows are to be read next, so that one more than fit is met.
func (l *Listing) Ask() int { return l.size + 1 - len(l.page.Jobs) }

// Add takes a row of so many bytes, or notes that it can not be read; any other error is given
// back.
func (l *Listing) Add(id string, bytes int, j *job.Job, err error) error {
	if err != nil {
		return l.passed.Pass(NameOfJob(id), err)
	}
	l.page.Jobs = append(l.page.Jobs, *j)
	l.bytes += bytes
	return nil
}

// End gives the page; more says that another row was met. The error names what was passed over.
func (l *Listing) End(more bool) (Page, error) {
	if n := len(l.page.Jobs); more && n > 0 {
		l.page.Cursor = l.page.Jobs[n-1].ID
	}
	return l.page, l.passed.Any()
}
