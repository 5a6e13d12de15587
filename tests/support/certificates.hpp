// Certificates for tests, made when they run.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>

namespace edgefleet::test {

struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// A certification authority whose files are in a folder of the test.
class Authority {
 public:
  static constexpr long day = 24L * 3600;  // NOLINT: OpenSSL's type

  Authority(std::string folder, const std::string& name) : folder_(std::move(folder)), name_(name) {
    write_certificate(*certificate_, file());
  }

  [[nodiscard]] std::string file() const { return folder_ + "/" + name_ + ".ca.pem"; }

  // Files NAME.pem and NAME.key.pem; an existing certificate of this name is replaced. `valid_for`: seconds from now;
  // negative: it has expired.
  CertificateFiles issue(const std::string& name, long valid_for = day) {  // NOLINT
    CertificateFiles files{folder_ + "/" + name + ".pem", folder_ + "/" + name + ".key.pem"};
    const Key key = make_key();
    write_certificate(*make(name, *key, valid_for, certificate_.get()), files.certificate);
    write_key(*key, files.key, "");
    return files;
  }

  static void write_key(EVP_PKEY& key, const std::string& path, const std::string& passphrase) {
    const File file(path);
    char* secret = passphrase.empty() ? nullptr : const_cast<char*>(passphrase.c_str());  // NOLINT: OpenSSL's type
    check(PEM_write_PrivateKey(file.get(), &key, secret == nullptr ? nullptr : EVP_aes_128_cbc(), nullptr, 0, nullptr,
                               secret));
  }
  static void write_key_with_passphrase(const std::string& path) { write_key(*make_key(), path, "secret"); }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
    void operator()(X509_EXTENSION* extension) const { X509_EXTENSION_free(extension); }
    void operator()(std::FILE* file) const { std::fclose(file); }  // NOLINT
  };
  using Key = std::unique_ptr<EVP_PKEY, Free>;
  using Certificate = std::unique_ptr<X509, Free>;

  // Replaces the file at its end, as a program that renews certificates does.
  class File {
   public:
    explicit File(std::string path) : path_(std::move(path)), file_(std::fopen(partial().c_str(), "w")) {
      check(file_ != nullptr);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    File(File&&) = delete;
    File& operator=(File&&) = delete;
    ~File() {
      file_.reset();
      std::rename(partial().c_str(), path_.c_str());
    }
    [[nodiscard]] std::FILE* get() const { return file_.get(); }

   private:
    [[nodiscard]] std::string partial() const { return path_ + ".partial"; }
    std::string path_;
    std::unique_ptr<std::FILE, Free> file_;
  };

  static void check(bool done) {
    if (!done) throw std::runtime_error("OpenSSL cannot make a certificate");
  }
  static void check(int done) { check(done > 0); }

  static Key make_key() {
    Key key(EVP_EC_gen("P-256"));
    check(key != nullptr);
    return key;
  }

  static void write_certificate(X509& certificate, const std::string& path) {
    const File file(path);
    check(PEM_write_X509(file.get(), &certificate));
  }

  static void add_extension(X509& certificate, int kind, const char* value) {
    const std::unique_ptr<X509_EXTENSION, Free> extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value));
    check(extension != nullptr);
    check(X509_add_ext(&certificate, extension.get(), -1));
  }

  // Signed by this authority; without an issuer it is the authority's own.
  Certificate make(const std::string& name, EVP_PKEY& key, long valid_for, const X509* issuer) {  // NOLINT
    Certificate made(X509_new());
    check(made != nullptr);
    X509_set_version(made.get(), 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.get()), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(made.get()), -2 * day);
    X509_gmtime_adj(X509_getm_notAfter(made.get()), valid_for);
    X509_NAME* subject = X509_get_subject_name(made.get());
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());  // NOLINT: OpenSSL's type
    check(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0));
    X509_set_issuer_name(made.get(), issuer == nullptr ? subject : X509_get_subject_name(issuer));
    X509_set_pubkey(made.get(), &key);
    add_extension(*made, NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (issuer != nullptr) add_extension(*made, NID_subject_alt_name, "IP:127.0.0.1");
    check(X509_sign(made.get(), key_.get(), EVP_sha256()));
    return made;
  }

  const std::string folder_;
  const std::string name_;
  long serial_ = 0;  // NOLINT: OpenSSL's type
  const Key key_ = make_key();
  const Certificate certificate_ = make(name_, *key_, 10 * day, nullptr);
};

}  // namespace edgefleet::test
