package ascend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cache"
	"lorac/codegen"
	k "lorac/kernels/ascend"
)

// Measure times each launch of recordings on device id: seconds, the median of several
// runs. The program that does is built once.
func Measure(id int, soc string, list []*k.Recording) ([][]float64, error) {
	kernels, err := Kernels(soc)
	if err != nil {
		return nil, err
	}
	sum, err := codegen.MeasureDigest()
	if err != nil {
		return nil, err
	}
	home, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(home, "ascend-measure-"+sum)
	if !codegen.IsBuilt(dir) {
		fmt.Fprintln(os.Stderr, "building the program that measures, once; it takes some seconds")
	}
	program, err := codegen.BuildMeasure(dir)
	if err != nil {
		return nil, fmt.Errorf("the program that measures cannot be built: %w", cacheHelp(err))
	}
	cache.Used(dir)
	request, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, strconv.Itoa(id), kernels)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), &said
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		text, ours := strings.CutPrefix(line, codegen.MeasureMark)
		if !ours {
			continue
		}
		var answer struct {
			Seconds [][]float64
			Error   string
		}
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			return nil, fmt.Errorf("the answer of Ascend device %d is broken: %w", id, err)
		}
		if answer.Error != "" {
			return nil, errors.New(answer.Error)
		}
		return answer.Seconds, nil
	}
	//lint:ignore ST1005 Ascend is a name
	return nil, fmt.Errorf("Ascend's runtime ended the process that measured on device %d (%v)%s", id, err, lastLines(said.String()))
}
