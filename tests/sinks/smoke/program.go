// The program in the images under test: it does what its arguments say, one after the other.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var silent []net.Listener

func main() {
	for args := os.Args[1:]; len(args) > 0; args = args[2:] {
		do(args[0], args[1])
	}
}

func do(verb, what string) {
	switch verb {
	case "say":
		fmt.Println(what)
	case "warn":
		fmt.Fprintln(os.Stderr, what)
	case "exit":
		code, _ := strconv.Atoi(what)
		os.Exit(code)
	case "sleep":
		pause, _ := time.ParseDuration(what)
		time.Sleep(pause)
	case "env":
		fmt.Printf("%s=%s\n", what, os.Getenv(what))
	case "cat":
		data, err := os.ReadFile(what)
		fmt.Printf("%s: %q %v\n", what, data, reason(err))
	case "write":
		fmt.Printf("write %s: %v\n", what, reason(os.WriteFile(what, []byte("new"), 0o644)))
	case "writable": // the files below a folder that may be opened for writing
		for _, path := range writable(what) {
			fmt.Println("writable", path)
		}
	case "remount": // /proc once more, in namespaces of one's own, to look for the same
		again := exec.Command(os.Args[0], "mount", what, "writable", what)
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		}
		said, err := again.CombinedOutput()
		fmt.Printf("%s%v\n", said, err)
	case "mount":
		fmt.Println("mount:", reason(syscall.Mount("proc", what, "proc", 0, "")))
	case "who":
		here, _ := os.Getwd()
		fmt.Printf("pid %d uid %d gid %d in %s\n", os.Getpid(), os.Getuid(), os.Getgid(), here)
	case "mode":
		info, err := os.Stat(what)
		if err == nil {
			fmt.Printf("mode %s: %o\n", what, info.Sys().(*syscall.Stat_t).Mode&0o7777)
		}
	case "names":
		addresses, err := net.LookupHost(what)
		fmt.Printf("%s is %v %v\n", what, addresses, err)
	case "fork": // a child that outlives its parent's patience, and ends only by force
		child := []string{os.Args[0], "say", "child here", "sleep", what}
		_, err := syscall.ForkExec(os.Args[0], child, &syscall.ProcAttr{
			Env: []string{"SMOKE_CHILD=1"}, Files: []uintptr{0, 1, 2},
			Sys: &syscall.SysProcAttr{Setsid: true},
		})
		fmt.Println("fork:", reason(err))
	case "serve": // ADDRESS,STATUS,STATUS…: the last status is answered for ever
		serve(strings.Split(what, ","))
	case "listen": // and never answer
		listener, err := net.Listen("tcp", what)
		fmt.Println("listen:", reason(err))
		silent = append(silent, listener)
	case "flood":
		size, _ := strconv.Atoi(what)
		fmt.Print(strings.Repeat("x", size), "end\n")
	default:
		fmt.Println("unknown:", verb)
		os.Exit(64)
	}
}

func serve(words []string) {
	listener, err := net.Listen("tcp", words[0])
	if err != nil {
		fmt.Println("listen:", err)
		os.Exit(3)
	}
	statuses := words[1:]
	for {
		connection, err := listener.Accept()
		if err != nil {
			os.Exit(4)
		}
		request := make([]byte, 4096)
		size, _ := connection.Read(request)
		if size > 0 {
			fmt.Fprintf(connection, "HTTP/1.1 %s Said\r\nContent-Length: 0\r\n\r\n", statuses[0])
			line, _, _ := strings.Cut(string(request[:size]), "\r\n")
			fmt.Println("answered", statuses[0], "to", line)
			if len(statuses) > 1 {
				statuses = statuses[1:]
			}
		}
		connection.Close()
	}
}

func writable(folder string) []string {
	var found []string
	filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil
		}
		if file, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			found = append(found, path)
			file.Close()
		}
		return nil
	})
	return found
}

func reason(err error) string {
	if err == nil {
		return "fine"
	}
	for inner := err; inner != nil; {
		err = inner
		wrapped, ok := inner.(interface{ Unwrap() error })
		if !ok {
			break
		}
		inner = wrapped.Unwrap()
	}
	return err.Error()
}
