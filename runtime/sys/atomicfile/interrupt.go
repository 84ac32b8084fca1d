package atomicfile

import (
	"os"
	"os/signal"
	"sync"

	"lorac/runtime/sys/signals"
)

// writing are the temporary files of this process.
var writing sync.Map

// RemoveTemps removes the temporary files and directories of this process, which is about to end.
func RemoveTemps() {
	writing.Range(func(temp, _ any) bool { os.RemoveAll(temp.(string)); return true })
}

// RemoveOnSignal has a signal that ends the process take what is half written
// with it.
func RemoveOnSignal() { removeOnSignal() }

var removeOnSignal = sync.OnceFunc(func() {
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, signals.Ends()...)
	go func() {
		for s := range ends {
			if !signals.Taken() { // else what it returns removes them
				RemoveTemps()
				signals.Raise(s)
			}
		}
	}()
})
