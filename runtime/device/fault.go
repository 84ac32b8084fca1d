package device

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"lorac/runtime/sys/dl"
	"lorac/runtime/sys/human"
)

// Fault is a failure that ACL reported.
type Fault struct {
	Call   string        // what was being done
	Code   int           // ACL's
	Text   string        // ACL's
	Kernel string        // that failed, "" where that is not known
	Note   string        // what its launch was for
	Among  int           // launches that it may have been, where it is not known
	From   string        // the first of them
	To     string        // the last
	Other  string        // one of them that is no kernel: a transfer with another device
	Limit  time.Duration // of a wait that took longer
	Asked  int           // bytes of device memory that were not there
	Free   int
	Total  int
}

// Codes of ACL (acl/error_codes/rt_error_codes.h).
const (
	alreadyInitialised = 100002
	noDevice           = 207004
	outOfMemory        = 207001
	deviceOOM          = 207018
	waitTimeout        = 107019
	syncTimeout        = 507046
	lostHeartbeat      = 507010
	linkLost           = 507901
)

// meanings are the codes of what goes wrong on a device, and comes out later.
var meanings = map[int]string{
	207003: "overflow on a cube core", 207016: "overflow on a vector core", 107020: "a task took too long", 107022: "its tasks were aborted",
	507000: "internal error of the runtime", 507001: "internal error of the task scheduler", 507011: "execution failed", 507012: "no report in time", 507013: "copying failed (DMA)",
	507014: "a cube core took too long", 507015: "exception on a cube core", 507016: "trap on a cube core",
	507034: "a vector core took too long", 507035: "exception on a vector core", 507036: "trap on a vector core",
	507042: "a cube core read outside of its memory", 507043: "a cube core wrote outside of its memory",
	507044: "a vector core read outside of its memory", 507045: "a vector core wrote outside of its memory",
	507048: "a mixed kernel took too long", 507049: "exception in a mixed kernel", 507050: "trap in a mixed kernel", 507052: "copying failed",
	507053: "error of the device's memory", 507054: "error of the device's memory that cannot be corrected (ECC)", 507055: "error of the device's memory is suspected",
	507056: "error of a link", 507057: "error of another device is suspected",
}

func (f *Fault) Error() string {
	var b strings.Builder
	help := ""
	switch {
	case f.Code == outOfMemory || f.Code == deviceOOM:
		b.WriteString("no device memory left")
		if f.Asked > 0 {
			fmt.Fprintf(&b, ": %s (%s bytes) were asked for", human.Bytes(f.Asked), human.Thousands(f.Asked))
		}
		if f.Total > 0 {
			fmt.Fprintf(&b, ", %s of %s are free", human.Bytes(f.Free), human.Bytes(f.Total))
		}
		help = "npu-smi info shows what other processes hold; shorter rows or fewer of them a micro-batch take less"
	case f.Limit > 0:
		fmt.Fprintf(&b, "the device did not finish within %v", f.Limit)
		if f.Among > 0 {
			fmt.Fprintf(&b, ": %s", f.among())
		}
		help = "npu-smi info shows whether the card works; LORAC_DEVICE_TIMEOUT=2h waits longer"
	case f.Code == lostHeartbeat || f.Code == linkLost:
		fmt.Fprintf(&b, "the device is lost: it no longer answers (%s)", f.Call)
		help = "npu-smi info shows whether the card works; it may need a reset"
	case meanings[f.Code] != "" && f.Kernel+f.Note != "":
		fmt.Fprintf(&b, "the device failed in %s: %s", f.launch(), meanings[f.Code])
	case meanings[f.Code] != "" && f.Among > 0:
		fmt.Fprintf(&b, "the device failed: %s, %s", meanings[f.Code], f.among())
	case meanings[f.Code] != "":
		fmt.Fprintf(&b, "the device failed (%s): %s", f.Call, meanings[f.Code])
	default:
		fmt.Fprintf(&b, "%s failed", f.Call)
	}
	fmt.Fprintf(&b, " [ACL error %d]", f.Code)
	if f.Code >= 507053 && f.Code <= 507055 {
		help = "have the card checked: npu-smi info -t ecc"
	}
	if help != "" {
		fmt.Fprintf(&b, "\n  = help: %s", help)
	}
	if f.Other != "" {
		fmt.Fprintf(&b, "\n  = note: transfers with other devices are among them, such as %s: one of those may have failed", f.Other)
	}
	if f.Text != "" {
		fmt.Fprintf(&b, "\n  = note: %s", strings.ReplaceAll(strings.TrimSpace(f.Text), "\n", "\n    "))
	}
	return b.String()
}

// launch names the launch that failed.
func (f *Fault) launch() string {
	switch {
	case f.Note == "" && f.Among > 1:
		return fmt.Sprintf("kernel %s, %s", f.Kernel, f.among())
	case f.Note == "":
		return "kernel " + f.Kernel
	case f.Kernel == "":
		return f.Note
	}
	return f.Note + ", kernel " + f.Kernel
}

// among names the launches of which one failed.
func (f *Fault) among() string {
	if f.Among == 1 {
		return "in " + f.From
	}
	if f.From == f.To {
		return fmt.Sprintf("one of %s launches in %s", human.Thousands(f.Among), f.From)
	}
	return fmt.Sprintf("one of %s launches since %s, up to %s", human.Thousands(f.Among), f.From, f.To)
}

// fault makes an error of a code, with ACL's own text. A fault of the device
// belongs to a launch before, and stays.
func (d *Device) fault(call string, code int32) error {
	f := &Fault{Call: call, Code: int(code), Text: aclGetRecentErrMsg()}
	switch {
	case code == waitTimeout || code == syncTimeout:
		f.Limit = d.Timeout
		f.span(d.queue.all(""))
		d.hung = true
	case code == lostHeartbeat || code == linkLost:
	case meanings[f.Code] != "":
		d.blame(f)
	default:
		return f
	}
	d.failed = f
	return f
}

// blame finds the launch: of the kernel that ACL's text names, else of any, the one
// whose task ACL's callback named, else the only one, else it is one of several.
func (d *Device) blame(f *Fault) {
	list := d.queue.all("")
	if m := kernelName.FindStringSubmatch(f.Text); m != nil {
		name := strings.TrimSuffix(strings.TrimSuffix(m[1], "_mix_aic"), "_mix_aiv")
		if of := d.queue.all(name); len(of) > 0 {
			f.Kernel, list = name, of
		}
	}
	if task, told := exception.take(); told && aclrtGetThreadLastTaskId != nil {
		list = ofTask(list, task)
	}
	if len(list) == 1 {
		f.Kernel, f.Note = list[0].kernel, noted(list[0].note)
		return
	}
	f.span(list)
}

// ofTask are the launches of a task, or all of them where none is. A runtime may
// count the rounds of its 16-bit numbers in one place and not in the other.
func ofTask(list []launched, task uint32) []launched {
	for _, mask := range []uint32{1<<32 - 1, 1<<16 - 1} {
		var of []launched
		for _, l := range list {
			if l.task&mask == task&mask {
				of = append(of, l)
			}
		}
		if len(of) > 0 {
			return of[len(of)-1:]
		}
	}
	return list
}

// kernelName is how ACL's text names the kernel that failed.
var kernelName = regexp.MustCompile(`kernel_name=(\w+)`)

// all are the launches of a kernel, "": of any, in order.
func (q *queue) all(kernel string) (list []launched) {
	start := 0
	if q.total > kept {
		start = q.total % kept
	}
	for i := range q.ring {
		if l := q.ring[(start+i)%len(q.ring)]; kernel == "" || l.kernel == kernel {
			list = append(list, l)
		}
	}
	return list
}

// span names the ends of a list of launches.
func (f *Fault) span(list []launched) {
	if f.Among = len(list); f.Among == 0 {
		return
	}
	name := func(l launched) string {
		if n := noted(l.note); n != "" {
			return n
		}
		return l.kernel
	}
	f.From, f.To = name(list[0]), name(list[len(list)-1])
	for _, l := range list {
		if l.other {
			f.Other = l.kernel
			break
		}
	}
}

// exception is the last task that ACL said failed. It tells a C function, which
// knows no device, from a thread of its own.
var exception failedTask

type failedTask struct {
	sync.Mutex
	once sync.Once
	c    uintptr
	task uint32
	told bool
}

func (e *failedTask) take() (task uint32, told bool) {
	e.Lock()
	defer e.Unlock()
	task, told = e.task, e.told
	e.told = false
	return task, told
}

// listen has ACL name the tasks that fail, where it can.
func listen() {
	if aclrtSetExceptionInfoCallback == nil || aclrtGetTaskIdFromExceptionInfo == nil {
		return
	}
	exception.once.Do(func() {
		exception.c = dl.Callback(func(info uintptr) {
			task := aclrtGetTaskIdFromExceptionInfo(info)
			exception.Lock()
			defer exception.Unlock()
			if !exception.told { // the first is the cause
				exception.task, exception.told = task, true
			}
		})
	})
	exception.take()
	aclrtSetExceptionInfoCallback(exception.c)
}
