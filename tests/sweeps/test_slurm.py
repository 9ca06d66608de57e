"""Jobs run on the Slurm of these tests."""

from working_sweeps import until


def test_two_jobs_run_at_the_same_time(slurm, tmp_path):
    command = f"touch {tmp_path}/$SLURM_JOB_ID; while [ $(ls {tmp_path} | wc -l) -lt 2 ]; do sleep 0.1; done"
    words = ["sbatch", "--parsable", "--output=/dev/null", f"--wrap={command}"]
    jobs = [slurm.run(*words).strip() for _ in range(2)]
    until(lambda: [slurm.states()[job] for job in jobs] == ["COMPLETED"] * 2, seconds=30)
