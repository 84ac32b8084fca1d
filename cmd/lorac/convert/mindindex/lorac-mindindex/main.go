// Command lorac-mindindex writes and reads the SQLite index of MindRecord files
// for lorac. It is a program of its own because the SQLite driver takes longer to
// compile than all of lorac. It knows tables and rows, not what they mean.
//
//	lorac-mindindex 1 write DB CREATE NAME INSERT COLUMNS   rows come from standard input
//	lorac-mindindex 1 read DB                               the name and the number of rows, a line each
//
// The number is that of the protocol. A value is a line: i and an integer, f and
// a floating-point number, s and a string quoted as in Go, or n for none. The line
// "end" follows the last row: without it nothing is committed.
package main

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	_ "modernc.org/sqlite" // the driver
)

const protocol = "1"

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 || args[0] != protocol {
		return fmt.Errorf("lorac-mindindex speaks protocol %s: it and lorac are of different releases", protocol)
	}
	switch args = args[1:]; {
	case len(args) == 6 && args[0] == "write":
		columns, err := strconv.Atoi(args[5])
		if err != nil {
			return err
		}
		return write(args[1], args[2], args[3], args[4], columns, in)
	case len(args) == 2 && args[0] == "read":
		return read(args[1], out)
	}
	return errors.New("usage: lorac-mindindex 1 write DB CREATE NAME INSERT COLUMNS | read DB")
}

// write creates the tables and all rows in one transaction.
func write(path, create, name, insert string, columns int, in io.Reader) (err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, s := range []string{create, "CREATE TABLE SHARD_NAME(NAME TEXT NOT NULL)"} {
		if _, err := tx.Exec(s); err != nil {
			return err
		}
	}
	if _, err := tx.Exec("INSERT INTO SHARD_NAME(NAME) VALUES(?)", name); err != nil {
		return err
	}
	add, err := tx.Prepare(insert)
	if err != nil {
		return err
	}
	r, row := bufio.NewReader(in), make([]any, 0, columns)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the rows are cut short: %w", err)
		}
		if line == "end\n" && len(row) == 0 {
			return tx.Commit()
		}
		v, err := value(line[:len(line)-1])
		if err != nil {
			return err
		}
		if row = append(row, v); len(row) == columns {
			if _, err := add.Exec(row...); err != nil {
				return err
			}
			row = row[:0]
		}
	}
}

func value(line string) (any, error) {
	if line != "" {
		switch text := line[1:]; line[0] {
		case 'i':
			return strconv.ParseInt(text, 10, 64)
		case 'f':
			return strconv.ParseFloat(text, 64)
		case 'n':
			return nil, nil
		case 's':
			return strconv.Unquote(text)
		}
	}
	return nil, fmt.Errorf("no value: %q", line)
}

// read prints the name of the file that an index belongs to and its number of rows.
func read(path string, out io.Writer) error {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer db.Close()
	var name string
	if err := db.QueryRow("SELECT NAME FROM SHARD_NAME").Scan(&name); err != nil {
		return err
	}
	n := 0
	if err := db.QueryRow("SELECT COUNT(*) FROM INDEXES").Scan(&n); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%q\n%d\n", name, n)
	return err
}
