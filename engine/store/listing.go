package store

import "orrery/engine/job"

// This file says for all drivers when a page is full.

// Part is a page that a driver fills, row by row: of Limit rows at most, and none after
// PageBytes of text.
type Part[T any] struct {
	Rows  []T
	Limit int
	bytes int
}

// Full reports whether the page takes no more rows: whoever meets another one knows that there
// is a next page.
func (p *Part[T]) Full() bool { return len(p.Rows) >= p.Limit || p.bytes > PageBytes }

// Add takes a row of so many bytes.
func (p *Part[T]) Add(row T, bytes int) {
	p.Rows = append(p.Rows, row)
	p.bytes += bytes
}

// Listing is a page of jobs, which passes over those that can not be read.
type Listing struct {
	Part[job.Job]
	passed Unreadable
}

// NewListing begins the page that a query asks for.
func NewListing(q Query) *Listing { return &Listing{Part: Part[job.Job]{Limit: q.PageSize()}} }

// Ask is how many rows are to be read next, so that one more than fit is met.
func (l *Listing) Ask() int { return l.Limit + 1 - len(l.Rows) }

// Take adds a row of so many bytes, or notes that it can not be read; any other error is given
// back.
func (l *Listing) Take(id string, bytes int, j *job.Job, err error) error {
	if err != nil {
		return l.passed.Pass(NameOfJob(id), err)
	}
	l.Add(*j, bytes)
	return nil
}

// End gives the page; more says that another row was met. The error names what was passed over.
func (l *Listing) End(more bool) (Page, error) {
	page := Page{Jobs: l.Rows}
	if n := len(l.Rows); more && n > 0 {
		page.Cursor = l.Rows[n-1].ID
	}
	return page, l.passed.Any()
}
