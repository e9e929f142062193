package redis

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// This file holds the scripts. They are called by their hash; a server that does not know
// one (it was restarted, or another took its place) is asked again with the text, which it
// keeps from then on.

// script is a text that runs on the server, in one act.
type script struct {
	text string
	hash string
}

var (
	//go:embed lua/commit.lua
	commitText string
	//go:embed lua/handout.lua
	handOutText string
	//go:embed lua/progress.lua
	progressText string
	//go:embed lua/opentasks.lua
	openTasksText string
	//go:embed lua/scan.lua
	scanText string
	//go:embed lua/pick.lua
	pickText string
	//go:embed lua/delivered.lua
	deliveredText string
	//go:embed lua/postpone.lua
	postponeText string
	//go:embed lua/revision.lua
	revisionText string
	//go:embed lua/claim.lua
	claimText string
	//go:embed lua/count.lua
	countText string
	//go:embed lua/pace.lua
	paceText string
	//go:embed lua/lease.lua
	leaseText string
	//go:embed lua/prepare.lua
	prepareText string
	//go:embed lua/decide.lua
	decideText string
	//go:embed lua/settle.lua
	settleText string
	//go:embed lua/records.lua
	recordsText string
	//go:embed lua/letters.lua
	lettersText string
	//go:embed lua/import.lua
	importText string
)

var (
	commitScript    = scriptOf(commitText)
	handOutScript   = scriptOf(handOutText)
	progressScript  = scriptOf(progressText)
	openTasksScript = scriptOf(openTasksText)
	scanScript      = scriptOf(scanText)
	pickScript      = scriptOf(pickText)
	deliveredScript = scriptOf(deliveredText)
	postponeScript  = scriptOf(postponeText)
	revisionScript  = scriptOf(revisionText)
	claimScript     = scriptOf(claimText)
	countScript     = scriptOf(countText)
	paceScript      = scriptOf(paceText)
	leaseScript     = scriptOf(leaseText)
	prepareScript   = scriptOf(prepareText)
	decideScript    = scriptOf(decideText)
	settleScript    = scriptOf(settleText)
	recordsScript   = scriptOf(recordsText)
	lettersScript   = scriptOf(lettersText)
	importScript    = scriptOf(importText)

	scripts = []*script{
		commitScript, handOutScript, progressScript, openTasksScript, scanScript, pickScript,
		deliveredScript, postponeScript, revisionScript, claimScript, countScript, leaseScript,
		prepareScript, decideScript, settleScript, importScript, paceScript, recordsScript, lettersScript,
	}
)

func scriptOf(text string) *script {
	sum := sha1.Sum([]byte(text)) // the name that Redis gives it
	return &script{text, hex.EncodeToString(sum[:])}
}

// eval puts a call into a pipeline. Its first key is the shard's, or what stands in its place; of
// a Cluster all keys that are written are named, see touched.
func (s *Store) eval(ctx context.Context, p goredis.Pipeliner, sc *script, key string, args ...any) *goredis.Cmd {
	keys := []string{key}
	if s.cluster {
		keys = append(keys, touched(sc, key, args)...)
	}
	return p.EvalSha(ctx, sc.hash, keys, args...)
}

func isNoScript(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// scriptOfCall gives the script that a command calls, by hash or with its text; nil is none.
func scriptOfCall(c goredis.Cmder) *script {
	if name := c.Name(); name != evalHash && name != evalText {
		return nil
	}
	called, _ := c.Args()[1].(string)
	for _, sc := range scripts {
		if sc.hash == called || sc.text == called {
			return sc
		}
	}
	return nil
}

const (
	evalHash = "evalsha"
	evalText = "eval"
)

// spellOut makes a call by hash one with the text.
func (s *script) spellOut(c goredis.Cmder) {
	args := c.Args()
	args[0], args[1] = evalText, s.text
	c.SetErr(nil)
}
