package checkpoint

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// writing are the temporary files of this process.
var writing sync.Map

// RemoveOnSignal has an interrupt, or a request to end, take what is half
// written with it.
func RemoveOnSignal() { removeOnSignal() }

var removeOnSignal = sync.OnceFunc(func() {
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		s := <-signals
		writing.Range(func(temp, _ any) bool { os.Remove(temp.(string)); return true })
		signal.Reset(s)
		if p, err := os.FindProcess(os.Getpid()); err != nil || p.Signal(s) != nil {
			os.Exit(130)
		}
	}()
})
