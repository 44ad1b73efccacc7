// Command reduce makes the contract's files out of GitHub's own descriptions: of the OpenAPI
// description and the GraphQL schema it keeps what contract/operations.txt and contract/graphql.txt
// name, and what that refers to, without prose and examples. contract/SOURCES.md says how to run it.
//
// It runs by hand, when an operation is added or a newer description is taken. It must not change what
// the descriptions say.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reduce:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("contract", "test/fakegithub/contract", "`folder` with operations.txt and graphql.txt, where the files are written")
	openapi := flag.String("openapi", "", "`file` generated/api.github.com.json of npm @octokit/openapi")
	graphql := flag.String("graphql", "", "`file` schema.graphql of npm @octokit/graphql-schema")
	flag.Parse()
	if *openapi == "" || *graphql == "" {
		flag.Usage()
		return errors.New("-openapi and -graphql are needed")
	}
	for _, part := range []struct {
		source, wanted, result string
		reduce                 func(source []byte, wanted []string) ([]byte, error)
	}{
		{*openapi, "operations.txt", "openapi.json.gz", reduceOpenAPI},
		{*graphql, "graphql.txt", "schema.graphql.gz", reduceGraphQL},
	} {
		source, err := os.ReadFile(part.source)
		if err != nil {
			return err
		}
		wanted, err := readLines(filepath.Join(*dir, part.wanted))
		if err != nil {
			return err
		}
		reduced, err := part.reduce(source, wanted)
		if err != nil {
			return fmt.Errorf("reduce %s: %w", part.source, err)
		}
		packed, err := pack(reduced)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(*dir, part.result), packed, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d of %d bytes, %d packed\n", part.result, len(reduced), len(source), len(packed))
	}
	return nil
}

// readLines returns the lines of a file without comments and empty ones.
func readLines(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// pack compresses without a time stamp: the same input gives the same bytes.
func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
