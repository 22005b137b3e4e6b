// SPDX-License-Identifier: Apache-2.0

// Goroutines, channels, a timer and the garbage collector: on standard input a number per line, on
// standard output the number and a digest of all that was kept. The answers depend on nothing but
// the numbers.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

type order struct{ number, worker uint64 }

type worker struct {
	kept   map[uint64][]byte
	orders chan order
}

func (w *worker) run(results chan<- uint64) {
	for o := range w.orders {
		state, sum := o.number+o.worker, uint64(0)
		for i := 0; i < 2000; i++ {
			state = state*6364136223846793005 + 1442695040888963407
			value := make([]byte, 1+(state>>40)%500)
			value[len(value)-1] = byte(state >> 33)
			w.kept[(state>>35)%300] = value
		}
		for key, value := range w.kept {
			sum += key * uint64(len(value)) * uint64(value[len(value)-1])
		}
		results <- sum
	}
}

func main() {
	results := make(chan uint64)
	workers := make([]*worker, 8)
	for i := range workers {
		workers[i] = &worker{map[uint64][]byte{}, make(chan order)}
		go workers[i].run(results)
	}
	go func() {
		for range time.Tick(time.Millisecond) {
			runtime.Gosched()
		}
	}()
	fmt.Println("ready")
	digest := uint64(0)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		number, _ := strconv.ParseUint(lines.Text(), 10, 64)
		for i, w := range workers {
			w.orders <- order{number, uint64(i)}
		}
		for range workers {
			digest += <-results
		}
		runtime.GC()
		<-time.After(time.Millisecond)
		fmt.Printf("%d %x\n", number, digest)
	}
}
