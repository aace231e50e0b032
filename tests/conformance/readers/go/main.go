// What docker compose and docker read, by their own code: the files named on stdin, one JSON object a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/docker/cli/pkg/kvfile"
)

func compose(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return dotenv.ParseWithLookup(file, os.LookupEnv)
}

func docker(path string) (map[string]string, error) {
	lines, err := kvfile.Parse(path, os.LookupEnv)
	values := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return values, err
}

func main() {
	read := map[string]func(string) (map[string]string, error){"compose": compose, "docker": docker}[os.Args[1]]
	paths := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for paths.Scan() {
		values, err := read(paths.Text())
		if err != nil {
			values = nil
		}
		if err := out.Encode(values); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
