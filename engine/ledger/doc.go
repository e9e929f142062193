// Package ledger keeps, in a small file of fixed size, what a process is at that might end it,
// so that the next process knows what the last one died of.
//
// Words: a note stands in a slot while something runs: a step of a job that became suspicious,
// or the loading of a blueprint file. A process that ends in order says so (Stopping) before
// it does. What a process that did not has left is given to the next one, which decides whom to
// blame, and takes each note out when that is settled. A tally counts ends of something that has
// no row in a store: the loading of a file.
//
// Notes are written with one small write to the file and never synced: the end of a process does
// not touch what the kernel has of a file, and a power cut may lose notes, which costs one more
// try. The file is text, a line of 512 bytes a slot, so that people can read it. All its room is
// taken when it is made, so that a full disk does not refuse a note later.
//
// A file belongs to one process at a time; the kernel's lock says which. Methods may be called by
// any goroutine, and on a nil *Ledger, which notes nothing.
package ledger
