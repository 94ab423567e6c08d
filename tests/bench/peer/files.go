// SPDX-License-Identifier: Apache-2.0

// /files as envd serves them: net/http, one body, streamed to and from a file.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

func upload(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Query().Get("path")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	if _, err := io.Copy(f, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `[{"name":%q,"path":%q,"type":"file"}]`, filepath.Base(path), path)
}

func main() {
	http.HandleFunc("/files", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			upload(w, r)
			return
		}
		http.ServeFile(w, r, r.URL.Query().Get("path"))
	})
	log.Fatal(http.ListenAndServe(os.Args[1], nil))
}
