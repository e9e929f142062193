// Package nodes has only tests: several whole servers (engine, workers' hub, HTTP on real
// sockets) share one store in memory, and clients and workers speak to any of them.
//
// Words: a node is killed when nothing of it is heard any more, neither by its store nor by
// anybody on the network. It is paused when its calls of the store wait until it goes on.
// BenchmarkWakeUp measures the way of a task to a poll at another node.
package nodes
