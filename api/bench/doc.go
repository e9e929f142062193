// Package bench is the project's own load tool: end-to-end jobs through the public HTTP
// interface, beside the limit of the machine in the same run.
//
// Words: a target is a server process; "orrery" is the real one, on SQLite with full
// durability; "bare" is the limit: the same three HTTP requests on the same HTTP library
// with a queue in memory and nothing behind them. A shape is a kind of load. Rounds of the
// targets alternate, so that a drift of the machine's speed touches both; figures are
// medians over rounds, and the ratio is what to quote.
//
// RunNodes measures several servers on one store in the same way; package yardstick has the words
// for the store behind them.
package bench
