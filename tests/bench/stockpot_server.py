"""A stockpotd of its own for a benchmark: on a free port, over an empty data folder, stopped at the end."""
import subprocess, time


class StockpotServer:
    def __init__(self, programs, scratch, *flags, log=subprocess.DEVNULL):
        """`programs` has stockpotd; data and port are below `scratch`, an empty folder of the caller's."""
        self.port_file = scratch / "port"
        self.process = subprocess.Popen(
            [f"{programs}/stockpotd", "--listen=127.0.0.1:0", f"--port_file={self.port_file}", "--metrics_listen=off",
             f"--data_folder={scratch}/data", *flags], stderr=log)

    def address(self):
        while not (self.port_file.exists() and self.port_file.read_text()):
            if self.process.poll() is not None:
                raise SystemExit("stockpotd ended")
            time.sleep(0.01)
        return self.port_file.read_text().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
