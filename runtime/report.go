package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/job"
	"lorac/runtime/report"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/version"
)

// sumUp says what a run of steps came to, and leaves report.html and loss.svg. A page that
// cannot be written takes nothing from the run.
func (r *Run) sumUp(peak int) {
	if r.mode != Train || !r.world.first() {
		return
	}
	l := r.Loop
	m, err := report.Read(l.metricsPath())
	if err == nil && len(m.Steps) > 0 {
		for i, row := range m.Result() {
			if i == 0 {
				r.out.Say("summary:")
			}
			r.out.Say("  %-16s %s", row[0], row[1])
		}
		if err = m.Write(r.job.Output, r.job.Name+": "+filepath.Base(r.job.Output), r.facts(peak)); err == nil {
			r.out.Say("report written to %s, with loss.svg", filepath.Join(r.job.Output, "report.html"))
		}
	}
	if err != nil && !os.IsNotExist(err) {
		r.out.Say("warning: there is no report.html: %v", err)
	}
}

// facts are what the page has besides curves.
func (r *Run) facts(peak int) []report.Table {
	memory := report.Table{Title: "Memory"}
	if n := r.job.Memory.Resident; n > 0 {
		memory.Rows = append(memory.Rows, [2]string{"planned at most", mib(r.mayTake())})
	}
	if peak > 0 {
		memory.Rows = append(memory.Rows, [2]string{"taken at most", mib(peak)})
	}
	if r.job.Memory.Choice != "" {
		memory.Rows = append(memory.Rows, [2]string{"to stay below the limit", r.job.Memory.Choice})
	}
	trained := report.Table{Title: "What trained"}
	n := 0
	for _, s := range r.Loader.params {
		n += len(s.Data)
		trained.Rows = append(trained.Rows, [2]string{strings.Replace(s.Names[0], ".0.", ".*.", 1), fmt.Sprintf("%d × [%d, %d]", len(s.Names), s.Rows, s.Cols)})
	}
	trained.Rows = append(trained.Rows, [2]string{"in all", fmt.Sprintf("%s of %s parameters", count(n), count(n+r.Loader.frozen))})
	settings := report.Table{Title: "Settings in effect"}
	for _, s := range r.job.Settings() {
		if s.Key == "chat_template" || s.Key == "keys" {
			continue
		}
		settings.Rows = append(settings.Rows, [2]string{s.Key, human.Printable(job.Spell(s.Value))})
	}
	config := report.Table{Title: "Config"}
	for _, k := range r.job.Keys {
		key, value, _ := strings.Cut(k, "=")
		config.Rows = append(config.Rows, [2]string{key, human.Printable(value)})
	}
	program := report.Table{Title: "Program", Rows: [][2]string{{"config", r.job.Source}, {"trainer", version.String()}, {"threads", fmt.Sprint(r.k.Threads())}, {"processes", fmt.Sprint(r.world.size())}}}
	return []report.Table{memory, trained, settings, config, program}
}
