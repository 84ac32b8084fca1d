package ascend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lorac/cmd/lorac/cache"
	"lorac/codegen"
)

// Device is what an Ascend device says of itself; 0 and "" are unknown.
type Device struct {
	SoC     string `json:"soc"` // Ascend910B3
	Cubes   int    `json:"cubes"`
	Vectors int    `json:"vectors"`
	Free    int    `json:"free_hbm"` // bytes of its memory
	HBM     int    `json:"hbm"`
	CANN    string `json:"cann"`
	Devices int    `json:"devices"` // on this machine
	Library string `json:"library"`
}

// probeLimit is the longest that a device may take to answer. The first call of a
// process takes some seconds, a driver in trouble for ever.
var probeLimit = time.Minute

// Probe asks device id of this machine. The program that does is built once.
func Probe(id int) (*Device, error) {
	program, err := probeProgram()
	if err != nil {
		return nil, fmt.Errorf("the program that asks the device cannot be built: %w", cacheHelp(err))
	}
	return ask(program, id)
}

// ask runs the program.
func ask(program string, id int) (*Device, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strconv.Itoa(id))
	cmd.WaitDelay = time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if ctx.Err() != nil {
		//lint:ignore ST1005 Ascend is a name
		return nil, fmt.Errorf("Ascend device %d did not answer within %v\n  = help: npu-smi info shows whether the card works", id, probeLimit)
	}
	for line := range strings.Lines(string(out)) {
		text, ours := strings.CutPrefix(line, codegen.ProbeMark)
		if !ours {
			continue
		}
		var answer struct {
			Device
			Error string
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			return nil, fmt.Errorf("the answer of Ascend device %d is broken: %w", id, err)
		}
		if answer.Error != "" {
			return nil, errors.New(answer.Error)
		}
		return &answer.Device, nil
	}
	if name := signalOf(err, said.String()); name != "" { // a register dump says nothing more
		path, _ := Library()
		return nil, fmt.Errorf("%s crashed when it was asked for device %d (%s)\n  = help: npu-smi info shows whether driver and card work; driver and CANN must be of versions that go together; or run with --device cpu", path, id, name)
	}
	//lint:ignore ST1005 Ascend is a name
	return nil, fmt.Errorf("Ascend's runtime ended the process that asked device %d (%v)%s", id, err, lastLines(said.String()))
}

// dumped is how Go begins what it says of a signal in C, and dumps the registers.
var dumped = regexp.MustCompile(`(?m)^(?:\[signal )?SIG[A-Z]+: ([a-z ]+)`)

// signalOf names the signal that ended a process, "" if none did.
func signalOf(err error, said string) string {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return ""
	}
	if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return "signal: " + w.Signal().String()
	}
	if m := dumped.FindStringSubmatch(said); m != nil {
		return "signal: " + strings.TrimSuffix(m[1], " code")
	}
	return ""
}

// lastLines is the end of what a process said, indented.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if text = strings.Join(lines[max(len(lines)-5, 0):], "\n    "); text == "" {
		return ""
	}
	return ":\n    " + text
}

// probeProgram is the path of the program: built into the user's cache.
func probeProgram() (string, error) {
	sum, err := codegen.ProbeDigest()
	if err != nil {
		return "", err
	}
	home, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(home, "ascend-probe-"+sum)
	if !codegen.IsBuilt(dir) {
		fmt.Fprintln(os.Stderr, "building the program that asks the NPU, once; it takes some seconds")
	}
	program, _, err := codegen.BuildProbe(dir)
	cache.Used(dir)
	return program, err
}

// cacheHelp adds a way out to what failed for the cache's directory.
func cacheHelp(err error) error {
	if err == nil || strings.Contains(err.Error(), "= help:") {
		return err
	}
	home, none := cache.Dir()
	if none != nil {
		return err
	}
	at := (*fs.PathError)(nil)
	failed := errors.As(err, &at) && (strings.HasPrefix(at.Path, home) || strings.HasPrefix(home, at.Path))
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} { // as the toolchains say it, too
		failed = failed || strings.Contains(err.Error(), e.Error())
	}
	if !failed {
		return err
	}
	return fmt.Errorf("%w\n  = help: XDG_CACHE_HOME names another directory for the cache, which is %s", err, home)
}
