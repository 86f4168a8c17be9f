#include "tests/support/data_set_writer/data_set_writer.h"

#include <png.h>
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stockpot {
namespace {

constexpr size_t kTarBlock = 512;

void Require(bool ok, const std::string& what) {
  if (ok) return;
  std::cerr << "data_set_writer: " << what << "\n";
  std::abort();
}

std::string Padded(std::string bytes, size_t unit) {
  bytes.append((unit - bytes.size() % unit) % unit, '\0');
  return bytes;
}

template <typename Integer>
void Append(std::string* bytes, Integer value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// What a local and a central zip header have in common.
std::string ZipFields(const std::string& name, const std::string& content) {
  std::string fields;
  Append<uint16_t>(&fields, 20);  // version needed
  Append<uint16_t>(&fields, 0);   // flags
  Append<uint16_t>(&fields, 0);   // stored
  Append<uint32_t>(&fields, 0x00210000);
  Append<uint32_t>(&fields,
                   static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(content.data()),
                                               static_cast<uInt>(content.size()))));
  Append<uint32_t>(&fields, static_cast<uint32_t>(content.size()));
  Append<uint32_t>(&fields, static_cast<uint32_t>(content.size()));
  Append<uint16_t>(&fields, static_cast<uint16_t>(name.size()));
  Append<uint16_t>(&fields, 0);  // extra field
  return fields;
}

}  // namespace

void WriteBytes(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  file.close();
  Require(file.good(), path);
}

std::string EncodeGreyPng(const std::vector<uint8_t>& pixels, int height, int width) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t size = 0;
  Require(png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr) != 0,
          "PNG");
  std::string bytes(size, '\0');
  Require(png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr) != 0,
          "PNG");
  bytes.resize(size);
  return bytes;
}

std::string TarEntry(const std::string& name, const std::string& content, char type) {
  std::string header(kTarBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  put(0, name.substr(0, 100));
  put(100, "0000644");
  put(108, "0000000");
  put(116, "0000000");
  put(124, absl::StrFormat("%011o", content.size()));
  put(136, "00000000000");
  put(148, "        ");
  header[156] = type;
  put(257, std::string("ustar\0", 6) + "00");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  put(148, absl::StrFormat("%06o", sum) + std::string("\0 ", 2));
  return header + Padded(content, kTarBlock);
}

std::string TarEnd() { return std::string(2 * kTarBlock, '\0'); }

std::string Tar(const NamedBytes& members) {
  std::string bytes;
  for (const auto& [name, content] : members) bytes += TarEntry(name, content);
  return bytes + TarEnd();
}

std::string Npy(const std::string& descr, const std::string& shape, const std::string& bytes) {
  std::string header =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }");
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  Append<uint16_t>(&file, static_cast<uint16_t>(header.size()));
  return file + header + bytes;
}

std::string StoredZip(const NamedBytes& entries) {
  std::string bytes, directory;
  for (const auto& [name, content] : entries) {
    const auto offset = static_cast<uint32_t>(bytes.size());
    const std::string fields = ZipFields(name, content);
    Append<uint32_t>(&bytes, 0x04034b50);
    bytes += fields + name + content;
    Append<uint32_t>(&directory, 0x02014b50);
    Append<uint16_t>(&directory, 20);  // version made by
    directory += fields;
    directory.append(2 + 2 + 2 + 4, '\0');  // comment, disk, attributes
    Append<uint32_t>(&directory, offset);
    directory += name;
  }
  const auto begin = static_cast<uint32_t>(bytes.size());
  bytes += directory;
  Append<uint32_t>(&bytes, 0x06054b50);
  Append<uint32_t>(&bytes, 0);  // disks
  Append<uint16_t>(&bytes, static_cast<uint16_t>(entries.size()));
  Append<uint16_t>(&bytes, static_cast<uint16_t>(entries.size()));
  Append<uint32_t>(&bytes, static_cast<uint32_t>(directory.size()));
  Append<uint32_t>(&bytes, begin);
  Append<uint16_t>(&bytes, 0);
  return bytes;
}

}  // namespace stockpot
