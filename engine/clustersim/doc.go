// Package clustersim runs whole clusters in virtual time, each world from one number, and
// checks afterwards that nothing was lost, doubled or invented.
//
// It holds tests only. Words:
//
//   - A seed is the number that everything in a world follows from: its blueprints, its
//     clients and workers, every delay and every fault. A failing seed prints one line that
//     repeats it.
//   - A world is a store in memory, one to three nodes on it (the real engine and the real hub,
//     without HTTP), clients, people and workers, and a network between them that delays, loses,
//     repeats and so reorders requests and answers. It lives in a bubble of testing/synctest, so
//     that an hour of it takes no time.
//   - Nodes that are several share the store as real ones do: engine/node says whose a shard is,
//     and package peers carries messages and what is handed on to owners, over a wire that is
//     part of the network. The door of a node stands for package api: which request goes where.
//   - A link is a node's connection to the store: it fails calls before or after they were
//     done, delays them, is cut for a while, and ends with its node. Leases go through it too.
//     A node that stands still has its link and its wires stopped: what was on its way goes on
//     late, when its shards are another's.
//   - A store lapses when it loses what it acknowledged in the last seconds, as in a failover: in
//     worlds of their own, where all that is left must come to its end.
//   - The warden stands between the links and the store: no commit of a past owner may count.
//   - A plan is a random blueprint in abstract form. It is written as Starlark for the nodes,
//     and interpreted by the model, which shares no code with the engine.
//   - A realm is a world of several nodes that only own shards (engine/node), under harder blows:
//     no commit of a past owner counts, one leads, and all is shared again after the storm.
//   - The ledger holds what the outside did and was told: it, and not the engine, says what
//     must have happened.
//
// The first part of a world is stormy; then the faults stop, everybody is honest and there,
// and every job must come to its end. The invariants are I1 to I8 of engine/killtest, held
// against the ledger, and every history must be a walk that the model allows.
//
// How exact a repetition is: goroutines run on one processor (GOMAXPROCS 1), all randomness
// follows the seed, and time passes only when all wait; what remains is the order in which
// Go walks maps. TestRepeats measures it.
package clustersim
