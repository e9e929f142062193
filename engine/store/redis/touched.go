package redis

import "strconv"

// This file names the keys that scripts write, for a Cluster whose slots move. While a slot
// moves, some of its keys are at one server and some at another, and a script that meets one
// that is not there breaks off, whatever it has written. A server that is told the keys looks
// for all of them first, and asks to come again when one is missing, be it that it moved or
// that it was never there: the writes of a shard wait until its slot has moved.

// touched gives the keys that a call writes beside its first. settle.lua learns its keys from
// what it reads, and looks for them itself; of import.lua there is no call while servers run.
func touched(sc *script, key string, args []any) []string {
	text := func(i int) string { t, _ := args[i].(string); return t }
	switch sc {
	case commitScript:
		return touchedByCommit(key, args)
	case handOutScript:
		return []string{jobKey(key, text(0)), key + ":" + openList, key + ":" + dueList}
	case progressScript:
		return []string{jobKey(key, text(0)), progressKey(key, text(0), text(1)), progressTasksKey(key, text(0))}
	case deliveredScript, postponeScript:
		return []string{messagesKey(key, text(0)), key + ":" + outList, key + ":" + goneList}
	case leaseScript:
		return []string{key + ":lease"}
	case revisionScript:
		return []string{key + ":" + text(1)}
	case prepareScript, settleScript:
		return []string{pendKey(key), key + ":settled"}
	case decideScript:
		return []string{fateKey(key, text(0))}
	}
	return nil
}

// touchedByCommit reads the arguments as lua/commit.lua does.
func touchedByCommit(shard string, args []any) []string {
	text := func(i int) string { t, _ := args[i].(string); return t }
	id := text(0)
	keys := []string{jobKey(shard, id), recordsKey(shard, id)}
	for _, list := range []string{openList, dueList, readyList, liveList, badList} {
		keys = append(keys, shard+":"+list)
	}
	if text(2) == "0" { // it is new
		keys = append(keys, shard+":"+allList, shard+":"+blueprintList(text(10)))
		if client := text(11); client != "" {
			keys = append(keys, shard+":"+clientList(client))
		}
		if parent := text(12); parent != "" {
			keys = append(keys, childrenKey(shard, parent))
		}
	}
	home := text(16)
	if home == otherHome {
		keys = append(keys, fateKey(shard, text(1)))
	}
	at := 17
	each := func(width int, fn func(first int)) {
		n, _ := strconv.Atoi(text(at)) // written by us
		for i := range n {
			if fn != nil {
				fn(at + 1 + i*width)
			}
		}
		at += 1 + n*width
	}
	each(1, nil) // records
	each(3, nil) // reads
	each(4, nil) // tasks
	each(3, func(i int) { keys = append(keys, resultsKey(shard, id, text(i))) })
	each(4, func(i int) { keys = append(keys, messagesKey(shard, text(i+1)), shard+":"+outList) })
	each(4, func(i int) {
		keys = append(keys, valuesKey(home, text(i)), valueOrderKey(home, text(i)), home+":"+stores)
	})
	return keys
}
