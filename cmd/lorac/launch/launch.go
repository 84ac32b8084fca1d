// Package launch reads command lines as users of MindFormers type them: flags of
// run_mindformer.py, after python, msrun or their scripts, and starts trainers.
package launch

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/runtime/sys/disk"
)

// launch is a call of the trainer as MindFormers' users type it, stripped of
// its launcher: the flags of run_mindformer.py are left.
type launch struct {
	args  []string
	dir   string   // of run_mindformer.py; the original finds configs from there
	notes []string // what the launcher was told and has no effect here
	line  Launch
}

// Launch is what a launch line says of a cluster: the arguments of msrun_launcher.sh
// and msrun (MindFormers scripts/msrun_launcher.sh, r1.3). Fields that the line does
// not give have the launcher's defaults.
type Launch struct {
	By         string // msrun_launcher.sh, msrun or run_distribute.sh; "" without a launcher
	Workers    int    // of the job: its devices; 0 where the line gives none
	Local      int    // of them on this host
	MasterAddr string
	MasterPort int
	NodeRank   int
	LogDir     string
	Join       bool
	Timeout    int  // seconds until all have arrived
	Hosts      bool // the line is for several hosts: it says which this one is
}

// defaults are those of msrun_launcher.sh.
func defaults(by string) Launch {
	return Launch{By: by, Workers: 8, Local: 8, MasterAddr: "127.0.0.1", MasterPort: 8118, LogDir: "output/msrun_log", Timeout: 7200}
}

var (
	assignment  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	interpreter = regexp.MustCompile(`^python[0-9.]*$`)
)

const (
	runner      = "run_mindformer.py"
	launcherUse = "COMMAND [WORKER_NUM], COMMAND WORKER_NUM MASTER_PORT LOG_DIR JOIN CLUSTER_TIME_OUT, or COMMAND WORKER_NUM LOCAL_WORKER MASTER_ADDR MASTER_PORT NODE_RANK LOG_DIR JOIN CLUSTER_TIME_OUT"
)

// unlaunch strips what may stand in front of the flags: bash, msrun_launcher.sh
// with the command in quotes and its own arguments after it, msrun, python, the
// script (MindFormers scripts/msrun_launcher.sh, r1.0 to r1.5), and the
// launchers of r1.0 and before, run_distribute.sh and run_standalone.sh.
func unlaunch(args []string) (*launch, error) {
	l := &launch{}
	for len(args) > 0 && (assignment.MatchString(args[0]) && !disk.IsFile(args[0]) || slices.Contains([]string{"bash", "sh", "nohup"}, args[0])) {
		args = args[1:]
	}
	if len(args) == 0 {
		return l, nil
	}
	switch base := filepath.Base(args[0]); {
	case base == "run_distribute.sh" || base == "run_standalone.sh":
		return l, l.old(base, args[1:])
	case base == "msrun_launcher.sh":
		if len(args) == 1 {
			return nil, cli.Usage("msrun_launcher.sh needs a command: %s", launcherUse)
		}
		l.line = defaults("msrun_launcher.sh")
		return l, l.quoted(args[1:])
	case looksQuoted(args[0]):
		return l, l.quoted(args)
	}
	return l, l.command(args)
}

// looksQuoted reports whether an argument is a whole command, and no path with
// blanks in it.
func looksQuoted(arg string) bool {
	words, err := shellWords(arg)
	if err != nil || len(words) < 2 || disk.IsFile(arg) {
		return err != nil && strings.Contains(arg, runner)
	}
	first := filepath.Base(words[0])
	config := func(word string) bool { return word == "--config" || strings.HasPrefix(word, "--config=") }
	return strings.HasPrefix(first, "--") && slices.ContainsFunc(words, config) || strings.HasSuffix(first, ".py") || interpreter.MatchString(first) || first == "msrun" || assignment.MatchString(first)
}

// quoted takes a command in quotes with the launcher's arguments after it;
// flags after those are added to the command's.
func (l *launch) quoted(args []string) error {
	words, err := shellWords(args[0])
	if err != nil {
		return cli.Usage("%v: %s", err, args[0])
	}
	n := 1
	for n < len(args) && !strings.HasPrefix(args[n], "--") {
		n++
	}
	own, rest := args[1:n], args[n:]
	if len(own) > 0 && l.line.By == "" { // the launcher is lorac itself
		l.line = defaults("msrun_launcher.sh")
	}
	if err := l.line.positional(own); err != nil {
		return err
	}
	l.noteLine(len(own) > 1)
	return l.command(append(words, rest...))
}

// command strips msrun, python and the script.
func (l *launch) command(args []string) error {
	for len(args) > 0 && assignment.MatchString(args[0]) && !disk.IsFile(args[0]) {
		args = args[1:]
	}
	if len(args) > 0 && filepath.Base(args[0]) == "msrun" {
		rest, err := l.msrun(args[1:])
		if err != nil {
			return err
		}
		args = rest
	}
	if len(args) > 0 && interpreter.MatchString(filepath.Base(args[0])) {
		args = args[1:]
		for len(args) > 0 && strings.HasPrefix(args[0], "-") && !strings.HasPrefix(args[0], "--") {
			args = args[1:]
		}
		if len(args) == 0 || !strings.HasSuffix(args[0], ".py") {
			return cli.Usage("after python, %s is expected", runner)
		}
	}
	if len(args) > 0 && strings.HasSuffix(args[0], ".py") {
		if filepath.Base(args[0]) != runner {
			return cli.Usage("%s is a Python program of its own; lorac stands in for %s (for converters see lorac convert --help)", args[0], runner)
		}
		l.dir = filepath.Dir(args[0])
		args = args[1:]
	}
	l.args = args
	return nil
}

// old takes the arguments of the launchers up to r1.0, by what they look like:
// run_distribute.sh RANK_TABLE CONFIG RANGE MODE [RANKS], run_standalone.sh
// CONFIG DEVICE MODE.
func (l *launch) old(name string, args []string) error {
	config, mode, devices, ranks := "", "", "", ""
	n := 0
	for ; n < len(args) && !strings.HasPrefix(args[n], "--"); n++ {
		switch a := args[n]; {
		case strings.HasSuffix(a, ".yaml") || strings.HasSuffix(a, ".yml"):
			config = a
		case slices.Contains([]string{"train", "finetune", "eval", "predict", "export"}, a):
			mode = a
		case deviceRange.MatchString(a):
			devices = a
		case name == "run_distribute.sh" && onlyDigits.MatchString(a):
			ranks = a
		}
	}
	if config == "" || mode == "" {
		return cli.Usage("%s needs a config (.yaml) and a run mode (train, finetune, eval, predict)", name)
	}
	if name == "run_distribute.sh" {
		l.line = Launch{By: name, Workers: between(devices)}
		l.line.Local = l.line.Workers
		if n, err := strconv.Atoi(ranks); err == nil { // of all hosts
			l.line.Workers = n
		}
		if l.line.Workers < 1 {
			return cli.Usage("run_distribute.sh needs a range of devices, as [0,8]")
		}
		l.notes = append(l.notes, name+": the rank table has no effect here")
	} else {
		l.notes = append(l.notes, name+": the number of the device has no effect here")
	}
	l.args = append([]string{"--config", config, "--run_mode", mode}, args[n:]...)
	return nil
}

// config finds a config as the original does, from the script's directory,
// where it is not found from the working directory.
func (l *launch) config(path string) string {
	if l.dir == "" || filepath.IsAbs(path) || disk.IsFile(path) {
		return path
	}
	if near := filepath.Join(l.dir, path); disk.IsFile(near) {
		return near
	}
	return path
}
