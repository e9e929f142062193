package faultproxy

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// This file tests every fault with a server that repeats what it hears.

// ear tells how many bytes a server has heard so far, at each that come.
type ear chan int

// wait returns when the server has heard n bytes in all.
func (e ear) wait(t *testing.T, n int) {
	t.Helper()
	end := time.After(long)
	for {
		select {
		case got := <-e:
			if got >= n {
				return
			}
		case <-end:
			t.Fatalf("the server did not hear %d bytes", n)
		}
	}
}

// echo is such a server, for one link at a time.
func echo(t *testing.T) (addr string, heard ear) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	heard = make(ear, 1000)
	go func() {
		var sum atomic.Int64
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 1<<10)
				for {
					n, err := c.Read(buf)
					heard <- int(sum.Add(int64(n)))
					if _, werr := c.Write(buf[:n]); err != nil || werr != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String(), heard
}

func start(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// say sends a text and gives what comes back within the time.
func say(t *testing.T, c net.Conn, text string, within time.Duration) (string, error) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	return hear(t, c, len(text), within)
}

func hear(t *testing.T, c net.Conn, n int, within time.Duration) (string, error) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, n)
	got, err := io.ReadFull(c, buf)
	return string(buf[:got]), err
}

const (
	long  = 20 * time.Second       // for what must come
	short = 100 * time.Millisecond // for what must not
)

func works(t *testing.T, c net.Conn) {
	t.Helper()
	if got, err := say(t, c, "hello", long); got != "hello" || err != nil {
		t.Fatalf("came back %q, %v", got, err)
	}
}

func TestPassesOn(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	works(t, c)
	if now, ever := p.Links(); now != 1 || ever != 1 {
		t.Errorf("%d links of %d", now, ever)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); len(rest) != 0 || err != nil {
		t.Errorf("after the end came %q, %v", rest, err)
	}
}

func TestCutAndDown(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	works(t, c)
	p.Cut()
	if _, err := hear(t, c, 1, long); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a cut is heard as %v, want a reset", err)
	}
	works(t, dial(t, p))
	p.Down()
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		if _, err := say(t, c, "x", long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a server that is down answers: %v", err)
		}
		c.Close()
	}
	p.Refuse(false)
	works(t, dial(t, p))
}

func TestHeldBytesComeLater(t *testing.T) {
	addr, heard := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	works(t, c)
	p.Hold(ToClient)
	if got, err := say(t, c, "done", short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a held answer came: %q, %v", got, err)
	}
	heard.wait(t, len("hellodone"))
	p.Hold(Both)
	if _, err := say(t, c, "more", short); !errors.Is(err, os.ErrDeadlineExceeded) || len(heard) > 0 {
		t.Errorf("a partition lets something through: %v, and %d pieces to the server", err, len(heard))
	}
	p.Heal()
	if got, err := hear(t, c, len("donemore"), long); got != "donemore" || err != nil {
		t.Errorf("after it came %q, %v", got, err)
	}
}

func TestDelay(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	works(t, c)
	p.Delay(60 * time.Millisecond)
	began := time.Now()
	works(t, c)
	if d := time.Since(began); d < 120*time.Millisecond {
		t.Errorf("there and back took %s, want twice 60 ms", d)
	}
	p.Delay(0)
	works(t, c)
}

func TestLostAnswer(t *testing.T) {
	addr, heard := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	works(t, c)
	p.LoseAnswers(true)
	if got, err := say(t, c, "write", long); got != "" || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer was not lost: %q, %v", got, err)
	}
	heard.wait(t, len("hellowrite")) // so it was done
	p.LoseAnswers(false)
	works(t, dial(t, p))
}

func TestServerThatIsNotThere(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	p := start(t, ln.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		return // heard at once
	}
	defer c.Close()
	if _, err := hear(t, c, 1, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a link to nowhere: %v", err)
	}
}

func TestTap(t *testing.T) {
	addr, _ := echo(t)
	p := start(t, addr)
	c := dial(t, p)
	var heard [2]atomic.Int64
	p.Tap(func(s Side, text []byte) {
		heard[s-ToServer].Add(int64(len(text)))
	})
	works(t, c)
	if to, back := heard[0].Load(), heard[1].Load(); to != int64(len("hello")) || back != to {
		t.Errorf("the tap heard %d bytes on their way to the server and %d back", to, back)
	}
	p.Tap(nil)
	works(t, c)
	if to := heard[0].Load(); to != int64(len("hello")) {
		t.Errorf("the tap heard %d bytes after its end", to)
	}
}
