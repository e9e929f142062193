//go:build !unix

package blueprint

import "errors"

// This file stands in where there are no named pipes.

func makePipe(string) error { return errors.ErrUnsupported }
