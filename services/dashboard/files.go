package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"example.com/platform/internal/probe"
)

type webFiles struct {
	Folder string `json:"folder"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
}

// checkFiles sees that folder holds the page and that every file in it can be read.
func checkFiles(folder string) (webFiles, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return webFiles{}, err
	}
	defer root.Close()
	if _, err := root.Stat("index.html"); err != nil {
		return webFiles{}, fmt.Errorf("%s: %w", folder, err)
	}
	found := webFiles{Folder: folder}
	err = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root.FS(), path)
		found.Files++
		found.Bytes += int64(len(text))
		return err
	})
	return found, err
}

// readStates returns the states saved at path; none if there is no such file yet.
func readStates(path string) ([]probe.State, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var states []probe.State
	if err := json.Unmarshal(text, &states); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return states, nil
}

// writeStates saves states at path, whole or not at all; "" saves nothing.
func writeStates(path string, states []probe.State) error {
	if path == "" {
		return nil
	}
	text, err := json.Marshal(states)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
