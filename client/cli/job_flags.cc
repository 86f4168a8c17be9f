#include "client/cli/job_flags.h"

#include <CLI/CLI.hpp>

#include "client/cli/renames.h"

namespace stockpot::cli {

void AddJobFlags(CLI::App& command, JobFlags& flags) {
  const std::string job = "The job";
  const auto add = [&](const std::string& names, auto& value, const std::string& help) {
    return command.add_option(names, value, help)->group(job);
  };
  add("--architecture", flags.architecture, "TorchScript module that runs the weights");
  add("--ingredients", flags.ingredients,
      "Checkpoints: paths, or quoted globs that expand here in byte order")
      ->type_name("GLOB");
  add("--held-out", flags.held_out,
      "Data set that decides: a folder of CLASS/image, or a .parquet, .tar, .csv, .jsonl, .npz or "
      ".safetensors file");
  add("--report-set", flags.report_sets, "Data set that is measured for the report only")
      ->type_name("NAME=PATH");
  add("--shift-set", flags.shift_sets,
      "Report set under a distribution shift: the report has the mean over them")
      ->type_name("NAME=PATH");
  add("--final-set", flags.final_set,
      "Report set that makes the headline: it is looked at once, after every choice")
      ->type_name("NAME=PATH");
  add("--label-tensor", flags.label_tensor,
      "Tensor, column or member with the labels (not of image folders)");
  add("--input", flags.input, "Data-set input given to the model (default: images)");
  add("--mean", flags.mean, "Per channel, such as 0.485,0.456,0.406; with --std")->delimiter(',');
  add("--std", flags.standard_deviation, "Per channel, such as 0.229,0.224,0.225")->delimiter(',');
  command
      .add_flag_function(
          "--scale-to-unit,!--no-scale-to-unit",
          [&flags](int64_t count) { flags.scale_to_unit = count > 0; },
          "Divide by 255 before normalising (default for images)")
      ->group(job);
  add("--resize", flags.resize, "Images: the shorter side, or the exact size HxW");
  add("--crop", flags.crop, "Images: centre crop, a square's side or HxW");
  add("--preset", flags.preset,
      "Images: resized, cropped and normalised as models of this kind are evaluated")
      ->check(CLI::IsMember(
          {"torchvision-v1", "torchvision-v2", "timm", "timm-half", "clip", "clip-336"}));
  add("--preprocessor", flags.preprocessor,
      "The same by a preprocessor_config.json, timm config.json or open_clip_config.json");
  add("--interpolation", flags.interpolation, "How images are resized (default: bicubic)")
      ->check(CLI::IsMember({"bicubic", "bilinear"}));
  command.add_flag("--no-antialias", flags.no_antialias, "Resize without antialiasing")->group(job);
  add("--metric", flags.metric, "What decides (default: top1)")
      ->check(CLI::IsMember(MetricWords()));
  add("--problem", flags.problem, "What outputs and labels are (default: classification)")
      ->check(CLI::IsMember({"classification", "regression", "language-model"}));
  add("--recipe", flags.recipe, "How the soup is made (default: greedy)")
      ->check(CLI::IsMember(RecipeWords(/*with_ensembles=*/false)));
  add("--compare", flags.comparisons, "More recipes, measured beside it")
      ->check(CLI::IsMember(RecipeWords(/*with_ensembles=*/true)));
  add("--base", flags.base, "The model that the fine-tunes, or LoRA adapters, began with");
  add("--state-dict-key", flags.state_dict_key, kStateDictKeyHelp)->type_name("KEY");
  add("--rename", flags.renames, kRenameHelp)->type_name("PATTERN=NAME");
  command
      .add_flag("--wise-ft", flags.wise_ft,
                "Measure the soups between --base and the soup too (WiSE-FT)")
      ->group(job);
  add("--acceptance", flags.acceptance,
      "A greedy candidate stays when the score rises (strict, the default) or does not fall")
      ->check(CLI::IsMember({"strict", "not-worse"}));
  add("--dtype", flags.dtype, "Of the soup (default: stored, as the ingredients have)")
      ->check(CLI::IsMember({"stored", "float32", "bfloat16", "float16"}));
  add("--output-format", flags.output_format, "Of the soup's file (default: safetensors)")
      ->check(CLI::IsMember({"safetensors", "torch-save"}));
  add("--max-shard-bytes", flags.max_shard_bytes,
      "Largest file of a safetensors soup; a larger soup is several (default: 5000000000)");
  add("--output-uri", flags.output_uri,
      "Folder of the server's, or of an object store (s3://, gs://, abfs://), that the artifacts "
      "are "
      "written to (default: the server's own, until the job is deleted)");
  add("--on-bad-ingredient", flags.on_bad_ingredient, "Fail the job (default) or skip it")
      ->check(CLI::IsMember({"fail", "skip"}));
  command
      .add_flag("--report-every-ingredient", flags.report_every_ingredient,
                "Measure every single ingredient on every report set too")
      ->group(job);
  command
      .add_flag("--full-scores", flags.full_scores,
                "Measure rejected candidates to the end, so that the report has their scores")
      ->group(job);
  command
      .add_flag("--calibration", flags.calibration,
                "Fit temperatures, and report calibration errors with and without them")
      ->group(job);
  command.add_flag("--angles", flags.angles, "Compare the moves of the fine-tunes from --base")
      ->group(job);
  add("--batch-size", flags.batch_size, "Examples per forward pass");
  add("--precision", flags.precision,
      "What models compute in when they are measured (default: float32)")
      ->check(CLI::IsMember({"float32", "tf32", "bfloat16", "float16"}));
  command
      .add_flag("--channels-last", flags.channels_last,
                "Lay images with their channels last: often faster convolutions, other last digits")
      ->group(job);
  add("--speculation", flags.speculation, "Candidates measured ahead; never changes the result");
  command
      .add_flag("--measure-again", flags.measure_again,
                "Measure everything for this job alone, even what is known from others")
      ->group(job);
  const auto limit = [&](const std::string& name, auto& value, const std::string& help) {
    return command.add_option(name, value, help)->group("When the job ends though it is not done");
  };
  limit("--timeout", flags.job_timeout,
        "Then it is FAILED, with what was measured (default: never)")
      ->type_name("DURATION");
  limit("--task-timeout", flags.task_timeout,
        "Longest time a task may go without progress (default: the server's)")
      ->type_name("DURATION");
  limit("--max-task-time", flags.max_task_time,
        "Longest time a task may take, with or without progress (default: any)")
      ->type_name("DURATION");
  limit("--max-evaluations", flags.max_evaluations,
        "Passes over the held-out set; then the soup so far is the result")
      ->type_name("COUNT");
  limit("--max-worker-time", flags.max_worker_time,
        "Workers' time; then the soup so far is the result")
      ->type_name("DURATION");
  add("--name", flags.display_name, "For people");
  add("--label", flags.labels, "For filters")->type_name("KEY=VALUE");
  add("--priority", flags.priority, "-100 to 100, higher runs first");
}

}  // namespace stockpot::cli
