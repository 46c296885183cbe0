// conc.go - what the same costs in Go, in nanoseconds
//
//	conc CASE COUNT
//
// The cases are those of conc.c, line by line the same work, in plain Go of the standard
// library, with as many processors as there are.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	capacity    = 128
	selectChans = 4
	children    = 10
	tasks       = 100
)

// How long it takes all of them.
func run(fns ...func()) time.Duration {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(len(fns))
	done.Add(len(fns))
	for _, fn := range fns {
		fn := fn
		go func() {
			ready.Done()
			<-start
			fn()
			done.Done()
		}()
	}
	ready.Wait()
	begun := time.Now()
	close(start)
	done.Wait()
	return time.Since(begun)
}

func sendAll(ch chan<- int64, count int) {
	for i := 0; i < count; i++ {
		ch <- int64(i)
	}
}

func recvAll(ch <-chan int64, count int) {
	for i := 0; i < count; i++ {
		<-ch
	}
}

func runChan(capacity, pairs, count int) time.Duration {
	ch := make(chan int64, capacity)
	var fns []func()
	for i := 0; i < pairs; i++ {
		fns = append(fns,
			func() { sendAll(ch, count/pairs) },
			func() { recvAll(ch, count/pairs) })
	}
	return run(fns...)
}

func pingPong(count int) time.Duration {
	there, back := make(chan int64), make(chan int64)
	return run(func() {
		for i := 0; i < count; i++ {
			there <- int64(i)
			<-back
		}
	}, func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
	})
}

func select4(count int) time.Duration {
	var ch [selectChans]chan int64
	for i := range ch {
		ch[i] = make(chan int64, capacity)
	}
	return run(func() {
		for i := 0; i < count; i++ {
			ch[i%selectChans] <- int64(i)
		}
	}, func() {
		for i := 0; i < count; i++ {
			select {
			case <-ch[0]:
			case <-ch[1]:
			case <-ch[2]:
			case <-ch[3]:
			}
		}
	})
}

func contexts(count int) time.Duration {
	begun := time.Now()
	for i := 0; i < count; i++ {
		parent, cancel := context.WithCancel(context.Background())
		var cancels [children]context.CancelFunc
		for c := range cancels {
			_, cancels[c] = context.WithCancel(parent)
		}
		cancel()
		for _, cancel := range cancels {
			cancel()
		}
	}
	return time.Since(begun)
}

// The essence of golang.org/x/sync/errgroup, which is not in the standard library.
type group struct {
	wg     sync.WaitGroup
	once   sync.Once
	err    error
	cancel context.CancelFunc
}

func (g *group) start(fn func() error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := fn(); err != nil {
			g.once.Do(func() {
				g.err = err
				g.cancel()
			})
		}
	}()
}

func (g *group) wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}

// count tasks, in groups.
func groups(count int) time.Duration {
	begun := time.Now()
	for done := 0; done < count; done += tasks {
		var g group
		_, g.cancel = context.WithCancel(context.Background())
		for t := 0; t < tasks; t++ {
			g.start(func() error { return nil })
		}
		if g.wait() != nil {
			panic("an empty task failed")
		}
	}
	return time.Since(begun)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: conc CASE COUNT")
		os.Exit(2)
	}
	cases := map[string]func(int) time.Duration{
		"bounded_1_1": func(count int) time.Duration { return runChan(capacity, 1, count) },
		"bounded_4_4": func(count int) time.Duration { return runChan(capacity, 4, count) },
		"unbuffered":  func(count int) time.Duration { return runChan(0, 1, count) },
		"ping_pong":   pingPong,
		"select_4":    select4,
		"context":     contexts,
		"group":       groups,
	}
	count, err := strconv.Atoi(os.Args[2])
	if err != nil || count < 1 {
		fmt.Fprintln(os.Stderr, "not a count:", os.Args[2])
		os.Exit(2)
	}
	fn, ok := cases[os.Args[1]]
	if !ok {
		fmt.Fprintln(os.Stderr, "no case is named", os.Args[1])
		os.Exit(2)
	}
	fmt.Printf("{\"ns\": %.1f}\n", float64(fn(count).Nanoseconds())/float64(count))
}
